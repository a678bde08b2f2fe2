"""What the bus tells, as log lines: whose they are, and what of an event or of Redis' address never stands in them."""

import asyncio
import io
import json
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from cortex_contracts import CATALOG, OrderCreated
from cortex_core.chassis import Config, Platform, consume, create_app, hear, on
from cortex_core.chassis.bus import BusReporter
from cortex_core.events import BusUnavailable, CloudEvent, EventBus, MalformedEvent, MemoryEventBus
from cortex_core.events.hooks import BusErrorDetails, DeliveryDetails, GapDetails, Outcome, Strain, StrainDetails
from cortex_core.events.redis import RedisEventBus
from cortex_core.kernel import Delivered, TraceContext, current
from cortex_core.observability import Logger, MetricsCollector, configure_logging
from cortex_core.observability import logging as ours
from cortex_core.testing import eventually, free_port, serving

CANARY = "canary-8c41-of-a-customer"
PASSWORD = "hunter2canary"
TRACE = TraceContext.new()


class Lines(io.StringIO):
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.all() if line["event"] == event]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """All that this process logs at level debug."""
    root, before = logging.getLogger(), dict(vars(ours._output))
    level, handlers = root.level, list(root.handlers)
    stream = Lines()
    configure_logging(service="analytics", level="debug", stream=stream)
    yield stream
    configure_logging(service="analytics")
    root.handlers[:], root.level = handlers, level
    vars(ours._output).update(before)


@pytest.fixture
def reporter() -> BusReporter:
    return BusReporter(MetricsCollector(), Logger.get("analytics"))


@dataclass(frozen=True)
class CountOrder:
    counted: list[Delivered[OrderCreated]] = field(default_factory=list)

    async def __call__(self, event: Delivered[OrderCreated]) -> None:
        self.counted.append(event)


@dataclass(frozen=True)
class UseCases:
    count: CountOrder


def order_created(**data: Any) -> CloudEvent:
    return CloudEvent(
        "order.created",
        "/order",
        "ord_1",
        {"orderId": "ord_1", "customerId": "cus_1", "total": 1, "currency": "EUR", **data},
        tenant="acme",
        traceparent=TRACE.traceparent,
    )


def service(bus: EventBus | None = None, **settings: Any) -> Any:
    @asynccontextmanager
    async def running(platform: Platform) -> AsyncIterator[UseCases]:
        yield UseCases(CountOrder())

    tables = [make(on(OrderCreated, CountOrder), catalog=CATALOG) for make in (consume, hear)]
    return create_app(Config(env="test", **settings), running=running, routers=[], consumers=tables, bus=bus)


def test_a_failed_deliverys_line_is_of_the_events_tenant_and_trace(lines: Lines, reporter: BusReporter) -> None:
    event = order_created()

    reporter.on_delivery(
        DeliveryDetails("order", "analytics", event, Outcome.DEAD, 5, 0.1, BusUnavailable("nobody there"))
    )

    (line,) = lines.all()
    assert (line["tenant"], line["trace_id"], line["span_id"]) == ("acme", TRACE.trace_id, TRACE.span_id)
    assert (line["event_id"], line["error"]) == (event.id, "BusUnavailable('nobody there')")
    assert current().tenant == "public"


def test_a_gaps_line_names_its_tenant_once(lines: Lines, reporter: BusReporter) -> None:
    reporter.on_gap(GapDetails("order", "acme", 3, lost=False))

    (line,) = lines.all()
    assert line["tenant"] == "acme"
    assert "tenant_" not in line


async def test_what_a_customer_wrote_is_in_no_line_and_no_reason_when_the_data_does_not_fit(lines: Lines) -> None:
    bus = MemoryEventBus(hooks=BusReporter(MetricsCollector(), Logger.get("analytics")))
    async with serving(service(bus)):
        await bus.publish([order_created(total=CANARY, createdAt=[CANARY], customerId={"name": CANARY})])
        await eventually(lambda: len(lines.of("delivery went wrong")) == 2)
        (letter,) = await bus.dead_letters("service")

    assert letter.code == "event.malformed"
    assert "total" in letter.reason
    assert {line["trace_id"] for line in lines.of("delivery went wrong")} == {TRACE.trace_id}
    assert CANARY not in letter.reason + lines.getvalue()


@pytest.mark.parametrize("member", ["dataschema", "traceparent", "tracestate"])
def test_an_attribute_that_is_no_text_makes_no_event(member: str) -> None:
    members = {**order_created().to_dict(), member: 5}

    with pytest.raises(MalformedEvent, match=member):
        CloudEvent.from_dict(members)


def test_a_time_that_is_none_is_not_repeated() -> None:
    with pytest.raises(MalformedEvent, match="time") as raised:
        CloudEvent.from_dict({**order_created().to_dict(), "time": CANARY})

    assert CANARY not in str(raised.value)


async def test_a_redis_that_is_not_there_is_reported_without_its_address_and_password(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = SecretStr(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    async with serving(service(redis_url=url)) as client:
        await eventually(lambda: len(lines.of("bus trouble")) >= 1)
        async with client.get("/health") as answer:
            health = await answer.json()

    assert health["checks"]["event-bus"]["error"] == "the bus does not answer: ConnectionRefusedError"
    assert {line["error"] for line in lines.of("bus trouble")} >= {
        "BusUnavailable('the bus does not answer: ConnectionRefusedError')"
    }
    said = json.dumps(health) + lines.getvalue() + caplog.text
    assert PASSWORD not in said
    assert str(port) not in json.dumps(health)


def test_an_outage_is_one_line_whoever_meets_it_and_names_the_setting(lines: Lines, reporter: BusReporter) -> None:
    refused, silent = BusUnavailable("refused"), BusUnavailable("silent")
    for failures in range(1, 200):
        for work in ("subscribe", "consume analytics"):
            reporter.on_error(BusErrorDetails(work, silent if failures > 100 else refused, failures, 0.1))

    assert [(line["error"], line["setting"]) for line in lines.all()] == [
        ("BusUnavailable('refused')", "CORTEX_REDIS_URL"),
        ("BusUnavailable('silent')", "CORTEX_REDIS_URL"),
    ]


async def test_a_redis_that_refuses_the_password_is_reported_without_it(
    lines: Lines, redis_url: str, reporter: BusReporter
) -> None:
    bus = RedisEventBus(redis_url.replace("://", f"://:{PASSWORD}@"), hooks=reporter)

    with pytest.raises(BusUnavailable) as raised:
        await bus.check()
    reporter.on_error(BusErrorDetails("consume", raised.value, 1, 0.1))
    Logger.get("analytics").warning("it broke", exc_info=raised.value)
    await bus.aclose()

    assert len(lines.all()) == 2
    assert PASSWORD not in lines.getvalue()


async def test_what_answers_like_no_redis_cannot_make_us_repeat_the_password(
    lines: Lines, reporter: BusReporter
) -> None:
    """A Redis whose AUTH was renamed repeats the arguments of the command it does not know."""

    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(PASSWORD.encode())
        writer.write(f"-ERR unknown command 'AUTH', with args beginning with: '{PASSWORD}' \r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(parrot, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        bus = RedisEventBus(f"redis://:{PASSWORD}@127.0.0.1:{port}/0", hooks=reporter)
        with pytest.raises(BusUnavailable) as raised:
            await bus.check()
        await bus.aclose()
    reporter.on_error(BusErrorDetails("consume", raised.value, 1, 0.1))
    Logger.get("analytics").warning("it broke", exc_info=raised.value)

    assert "unknown command 'AUTH'" in lines.getvalue()
    assert PASSWORD not in lines.getvalue()


@pytest.mark.parametrize("place", [f":{PASSWORD}/x@127.0.0.1:1/0", f":{PASSWORD}#x@127.0.0.1/0"])
def test_a_url_that_is_none_is_refused_without_showing_its_password(place: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as raised:
        RedisEventBus(f"redis://{place}")

    assert PASSWORD not in "".join(traceback.format_exception(raised.value))


def test_a_log_under_strain_is_an_error_of_its_tenant(lines: Lines) -> None:
    metrics = MetricsCollector()
    reporter = BusReporter(metrics, Logger.get("analytics"))

    reporter.on_strain(StrainDetails("order", "acme", Strain.CUT, entries=40))

    (line,) = lines.all()
    assert (line["tenant"], line["level"], line["strain"], line["entries"]) == ("acme", "error", "cut", 40)
    assert metrics.value("cortex_bus_strains_total", topic="order", strain="cut") == 1
