"""The whole service on a memory bus: events in, figures out."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import eventually, free_port

NOTHING = {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None}


def counted(analytics: Any, tenant: str = "public", **totals: int) -> Callable[[], Awaitable[bool]]:
    return lambda: analytics.counted(tenant, **totals)


def samples(text: str) -> dict[str, float]:
    """Name with labels → value, as Prometheus itself would read it."""
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def bucket(bound: str) -> str:
    return f"cortex_hub_order_processing_seconds_bucket,le={bound}"


async def test_nothing_is_nothing(analytics: Any) -> None:
    assert await analytics.figures() == {
        "activeOrders": 0,
        "orders": {"created": 0, "completed": 0, "failed": 0, "cancelled": 0},
        "processingSeconds": NOTHING,
    }


async def test_orders_are_counted_by_outcome(
    analytics: Any, created: Any, completed: Any, failed: Any, cancelled: Any
) -> None:
    await analytics.publish(*(created(f"ord_{number}") for number in range(5)))
    await analytics.publish(completed("ord_0", 0.5), completed("ord_1", 1.5), failed("ord_2"), cancelled("ord_3"))

    await eventually(counted(analytics, cancelled=1))
    figures = await analytics.figures()
    assert figures["activeOrders"] == 1
    assert figures["orders"] == {"created": 5, "completed": 2, "failed": 1, "cancelled": 1}
    seconds = figures["processingSeconds"]
    assert (seconds["count"], seconds["mean"]) == (2, 1.0)
    assert seconds["p50"] == pytest.approx(0.5, rel=0.01)
    assert seconds["p99"] == pytest.approx(1.5, rel=0.01)


async def test_the_same_events_again_and_in_the_wrong_order(analytics: Any, created: Any, completed: Any) -> None:
    done, begun, open_one = completed("ord_1", 0.5), created("ord_1"), created("ord_2")

    await analytics.publish(done, open_one, done, begun, begun, open_one, done, created("ord_last"))

    await eventually(counted(analytics, created=3))
    figures = await analytics.figures()
    assert figures["activeOrders"] == 2
    assert figures["orders"] == {"created": 3, "completed": 1, "failed": 0, "cancelled": 0}
    assert figures["processingSeconds"]["count"] == 1


async def test_a_tenant_asks_for_its_own(analytics: Any, created: Any) -> None:
    await analytics.publish(created("ord_1", tenant="acme"), created("ord_2", tenant="acme"), created("ord_3"))

    await eventually(counted(analytics, created=1))
    assert (await analytics.figures("acme"))["orders"]["created"] == 2
    assert (await analytics.figures("umbrella"))["orders"]["created"] == 0


async def test_prometheus_gets_the_totals_of_all_tenants(
    analytics: Any, created: Any, completed: Any, failed: Any
) -> None:
    await analytics.publish(created("ord_1", tenant="acme"), created("ord_2"), created("ord_3"))
    for number, seconds in enumerate([0.1, 0.100001, 1.0, 7.0, 11.0]):
        await analytics.publish(created(f"ord_m{number}"), completed(f"ord_m{number}", seconds))
    await analytics.publish(failed("ord_3"))

    await eventually(counted(analytics, failed=1))
    read = samples(await analytics.prometheus())
    assert read["cortex_hub_active_orders"] == 2
    assert read["cortex_hub_orders_created_total"] == 8
    assert read["cortex_hub_orders_ended_total,outcome=completed"] == 5
    assert read["cortex_hub_orders_ended_total,outcome=failed"] == 1
    buckets = {bound: read[bucket(bound)] for bound in ("0.1", "0.5", "1.0", "2.0", "5.0", "10.0", "+Inf")}
    assert buckets == {"0.1": 1, "0.5": 2, "1.0": 3, "2.0": 3, "5.0": 3, "10.0": 4, "+Inf": 5}
    assert read["cortex_hub_order_processing_seconds_count"] == 5
    assert read["cortex_hub_order_processing_seconds_sum"] == pytest.approx(19.200001)


async def test_prometheus_gets_the_process_and_http_too(analytics: Any) -> None:
    await analytics.figures()

    read = samples(await analytics.prometheus())
    route = "method=GET,route=/analytics/metrics,service=analytics,status=200"
    assert read[f"cortex_hub_http_requests_total,{route}"] == 1
    assert read["process_resident_memory_bytes"] > 0


async def test_figures_survive_a_restart_before_any_event_comes(serve: Any, created: Any, completed: Any) -> None:
    async with serve() as analytics:
        await analytics.publish(created("ord_1"), created("ord_2"), completed("ord_1", 0.5))
        await eventually(counted(analytics, completed=1))
        before = await analytics.figures()

    async with serve() as analytics:
        assert await analytics.figures() == before
        read = samples(await analytics.prometheus())
        assert read["cortex_hub_active_orders"] == 1
        assert read[bucket("0.5")] == 1


async def test_an_event_of_before_the_restart_still_counts_once(serve: Any, created: Any) -> None:
    once = created("ord_1")
    async with serve() as analytics:
        await analytics.publish(once)
        await eventually(counted(analytics, created=1))

    async with serve() as analytics:
        await analytics.publish(once, created("ord_2"))
        await eventually(counted(analytics, created=2))
        assert (await analytics.figures())["activeOrders"] == 2


async def test_a_time_that_cannot_be_is_a_dead_letter(analytics: Any, created: Any, completed: Any) -> None:
    await analytics.publish(completed("ord_1", -5.0), created("ord_2"))

    await eventually(counted(analytics, created=1))
    [letter] = await analytics.bus.dead_letters("analytics")
    assert letter.code == "analytics.implausible-duration"
    assert (await analytics.figures())["orders"]["completed"] == 0


async def test_a_type_nobody_knows_is_a_dead_letter(analytics: Any, created: Any) -> None:
    await analytics.publish(CloudEvent("order.exploded", "test", "ord_1", {}), created("ord_2"))

    await eventually(counted(analytics, created=1))
    assert [letter.code for letter in await analytics.bus.dead_letters("analytics")] == ["event.unknown"]


async def test_without_its_database_it_says_so_and_catches_up(serve: Any, memory_ledger: Any, created: Any) -> None:
    async with serve(ledger=memory_ledger) as analytics:
        memory_ledger.broken = True
        await analytics.publish(created("ord_1"))

        answer = await analytics.http.get("/analytics/metrics")
        assert (answer.status, (await answer.json())["code"]) == (503, "analytics.ledger-unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        text = await analytics.prometheus()
        assert "process_resident_memory_bytes" in text
        assert "cortex_hub_active_orders" not in text  # rather none than an old one

        memory_ledger.broken = False
        await eventually(counted(analytics, created=1))
        assert await analytics.bus.dead_letters("analytics") == []


class Absent(MemoryEventBus):
    """A bus that does not answer."""

    async def check(self) -> None:
        raise BusIsDown("redis is down")

    async def consume(self, *_: Any, **__: Any) -> Any:
        class Waiting:
            async def aclose(self) -> None: ...

        return Waiting()


class BusIsDown(CortexError):
    code, kind = "bus.down", Kind.UNAVAILABLE


async def test_without_the_bus_it_is_unready_and_answers(serve: Any) -> None:
    async with serve(bus=Absent()) as analytics:
        ready = await analytics.http.get("/health/ready")
        assert ready.status == 503
        assert (await ready.json())["checks"]["event-bus"]["status"] == "down"

        assert (await analytics.http.get("/health/live")).status == 200
        assert (await analytics.figures())["activeOrders"] == 0


async def test_the_exporters_port_shows_the_same(serve: Any, created: Any) -> None:
    port = free_port()
    async with serve(exporter_port=port) as analytics, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as prometheus:
        await analytics.publish(created("ord_1"))
        await eventually(counted(analytics, created=1))

        answer = await prometheus.get("/metrics")
        read = samples(await answer.text())
        assert answer.content_type == "text/plain"
        assert read["cortex_hub_active_orders"] == 1
        assert read["process_resident_memory_bytes"] > 0

        head = await prometheus.head("/metrics")
        assert (head.status, int(head.headers["Content-Length"]) > 0) == (200, True)
        assert (await prometheus.get("/")).status == 404
        assert (await prometheus.post("/metrics")).status == 405
        assert (await (await analytics.http.get("/health")).json())["checks"]["exporter"]["status"] == "up"


async def test_the_exporters_port_is_free_again_afterwards(serve: Any) -> None:
    port = free_port()
    for _ in range(2):
        async with serve(exporter_port=port), aiohttp.ClientSession() as prometheus:
            assert (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).status == 200

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_taken_exporter_port_is_one_clear_error(serve: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(CortexError) as caught:
            async with serve(exporter_port=port):
                pass

    assert str(caught.value) == (
        f"the Prometheus exporter cannot listen on 127.0.0.1:{port}: Address already in use;"
        " set ANALYTICS_EXPORTER_PORT (0 is none)"
    )


async def test_the_document_has_the_figures_and_their_problems(analytics: Any) -> None:
    document = await (await analytics.http.get("/openapi.json")).json()

    responses = document["paths"]["/analytics/metrics"]["get"]["responses"]
    assert {"200", "503"} <= set(responses)
    assert "/metrics" in document["paths"]  # the chassis' entry stands for ours
