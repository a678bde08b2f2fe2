"""The hub as its user has it: six services, one command; a Redis that goes away, a service that dies."""

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from cortex_core.testing import assert_bound

if TYPE_CHECKING:
    from cortex_core.testing import RedisServer
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(240)]


def test_the_demonstration_passes_twice_in_a_row(shared_hub: "RealHub") -> None:
    for _ in range(2):
        result = shared_hub.cortex("demo", "--json")

        told = json.loads(result.stdout)
        assert result.returncode == 0, told["steps"]
        assert told["ok"] is True
        assert told["requests"] <= 50  # a client has a hundred a minute


def test_orders_survive_the_hub(own_hub: "RealHub") -> None:
    own_hub.up()
    order_id = own_hub.place()
    before = own_hub.eventually(lambda: (found := own_hub.order(order_id))["status"] == "completed" and found)
    own_hub.eventually(lambda: own_hub.counted()["completed"] == 1)

    assert own_hub.cortex("down").returncode == 0
    own_hub.up()

    assert own_hub.order(order_id) == before
    assert own_hub.counted() == {"created": 1, "completed": 1, "failed": 0, "cancelled": 0}


@pytest.mark.bound
async def test_ctrl_c_ends_everything_within_five_seconds_also_with_clients_connected(own_hub: "RealHub") -> None:
    process = own_hub.up_in_front()
    pids = own_hub.pids()
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{own_hub.url(name)}/ws") for name in ("gateway", "notification")]
        began = time.monotonic()

        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)

        assert_bound(time.monotonic() - began, 5.5)  # 5 s, and Python's own end
        assert (process.returncode, errors) == (0, "")
        assert "killed" not in out
        assert [name for name, pid in pids.items() if own_hub.runs(pid)] == []
        for socket in sockets:
            await socket.close()


def test_a_dead_service_ends_the_hub_with_a_report(own_hub: "RealHub") -> None:
    process = own_hub.up_in_front("--only=gateway,compute")
    pids = own_hub.pids()

    os.kill(pids["compute"], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"compute (pid {pids['compute']}) ended by itself: SIGKILL" in errors
    assert not any(own_hub.runs(pid) for pid in pids.values())


def test_while_redis_is_away_orders_are_accepted_and_afterwards_all_catches_up(
    shared_hub: "RealHub", redis: "RedisServer"
) -> None:
    before, pids = shared_hub.counted(), shared_hub.pids()
    redis.stop(kill=True)
    try:
        orders = [shared_hub.place() for _ in range(5)]
        report = shared_hub.eventually(lambda: _check(shared_hub, "order", "event-bus", "down"))
        ready_without, _, _ = shared_hub.ask("order", "/health/ready")
        shared_hub.eventually(lambda: shared_hub.ask("notification", "/health/ready")[0] == 503)
        status = shared_hub.cortex("status")
    finally:
        redis.start()

    assert report["status"] == "degraded"
    assert ready_without == 200  # what order promises it can do without
    assert status.returncode == 1
    assert "event-bus" in status.stdout
    shared_hub.eventually(lambda: shared_hub.cortex("status").returncode == 0, within=40)
    shared_hub.eventually(lambda: all(shared_hub.order(each)["status"] == "completed" for each in orders), within=30)
    shared_hub.eventually(lambda: shared_hub.counted()["completed"] - before["completed"] == len(orders), within=30)
    assert shared_hub.counted()["created"] - before["created"] == len(orders)
    assert shared_hub.pids() == pids  # nobody had to be started again


@pytest.mark.bound
def test_a_service_that_is_down_is_a_quick_503_and_nobody_elses_trouble(shared_hub: "RealHub") -> None:
    before = shared_hub.row("storage")
    os.kill(before["pid"], signal.SIGKILL)
    began = time.monotonic()
    status, headers, problem = shared_hub.ask("gateway", "/api/storage/files/bafkqaaa")
    took = time.monotonic() - began
    others = shared_hub.ask("gateway", "/api/analytics/metrics")[0]

    assert status == 503
    assert int(headers["retry-after"]) >= 1
    assert headers["content-type"] == "application/problem+json"
    assert problem["code"]
    assert_bound(took, 1)
    assert others == 200
    shared_hub.eventually(lambda: shared_hub.row("storage")["ready"], within=40)
    assert shared_hub.row("storage")["restarts"] == before["restarts"] + 1


def test_what_is_wrong_is_said_at_the_gateway_as_it_is_at_the_service(shared_hub: "RealHub") -> None:
    negative = {
        "customerId": "cus_1",
        "currency": "EUR",
        "items": [{"sku": "book", "quantity": -1, "unitPrice": 1}],
        "paymentToken": "tok_ok",
    }

    through = shared_hub.ask("gateway", "/api/orders", negative)
    direct = shared_hub.ask("order", "/orders", negative)

    assert through[0] == direct[0] == 422
    assert through[2]["code"] == direct[2]["code"]


def _check(hub: "RealHub", service: str, check: str, status: str) -> dict[str, object] | None:
    """The health report of a service, once that check has that status."""
    report = hub.ask(service, "/health")[2]
    return report if report["checks"][check]["status"] == status else None
