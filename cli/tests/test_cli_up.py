"""`cortex up`: what it starts, what it says, and that nothing is left of it."""

import json
import os
import re
import signal
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from cortex_core.testing import assert_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.tests.conftest import Hub


def test_a_hub_that_is_ready_is_a_table_and_lines_to_copy(hub: "Hub") -> None:
    process = hub.up_and_ready()

    status, out, errors = hub.finish(process)

    assert (status, errors) == (0, "")
    for offset, name in enumerate(["gateway", "order", "analytics"]):
        assert re.search(rf"{name} +{hub.url(offset)} +\d+ +{hub.url(offset)}/docs", out), out
    assert f"curl -i {hub.url(0)}/api/orders" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("curl")) <= 80


def test_services_are_told_where_everything_is(hub: "Hub") -> None:
    hub.up_and_ready(PYTHONDONTWRITEBYTECODE="1")

    order, gateway = hub.get(1, "/env"), hub.get(0, "/env")

    assert order["CORTEX_ENV"] == "development"
    assert "PYTHONDONTWRITEBYTECODE" not in order  # or every start compiles everything
    assert order["CORTEX_REDIS_URL"] == f"unix://{hub.state}/redis/redis.sock"
    assert (order["ORDER_HOST"], order["ORDER_PORT"]) == ("127.0.0.1", str(hub.port_base + 1))
    assert order["ORDER_DATABASE_URL"] == f"sqlite+aiosqlite:///{hub.state}/data/order.db"
    bank = next(member for member in hub.record()["members"] if member["name"] == "bank")
    assert order["ORDER_PAYMENT_URL"] == bank["url"]
    assert gateway["GATEWAY_ANALYTICS_URL"] == hub.url(2)
    assert hub.get(2, "/env")["ANALYTICS_EXPORTER_PORT"] == str(hub.port_base + 3)


def test_a_database_the_person_chose_is_theirs_an_address_is_ours(hub: "Hub") -> None:
    hub.up_and_ready(
        ORDER_DATABASE_URL="postgresql+asyncpg://elsewhere/orders", ORDER_PORT="1", CORTEX_ENV="production"
    )

    order = hub.get(1, "/env")

    assert order["ORDER_DATABASE_URL"] == "postgresql+asyncpg://elsewhere/orders"
    assert order["ORDER_PORT"] == str(hub.port_base + 1)
    assert order["CORTEX_ENV"] == "development"


def test_a_redis_of_ones_own_is_used_and_none_is_started(hub: "Hub", redis_url: str) -> None:
    hub.up_and_ready(CORTEX_REDIS_URL=redis_url)

    assert hub.get(1, "/env")["CORTEX_REDIS_URL"] == redis_url
    assert "redis" not in hub.pids()


def test_a_state_folder_too_deep_for_a_socket_gets_a_loopback_port(hub: "Hub") -> None:
    deep = hub.folder / ("d" * 60) / ("e" * 60)
    hub.state = deep

    hub.up_and_ready(f"--state={deep}")

    url = hub.get(1, "/env")["CORTEX_REDIS_URL"]
    assert re.fullmatch(r"redis://127\.0\.0\.1:\d+/0", url)
    assert not url.endswith(":6379/0")
    hub.cortex("down", f"--state={deep}")


def test_a_redis_url_that_is_none_is_one_line_and_not_repeated(hub: "Hub") -> None:
    result = hub.cortex("up", f"--port-base={hub.port_base}", CORTEX_REDIS_URL="s3cret@nowhere")

    assert result.returncode == 1
    assert result.stderr.startswith("cortex: CORTEX_REDIS_URL must begin with redis://")
    assert "s3cret" not in result.stderr


def test_a_state_folder_may_have_any_name(hub: "Hub") -> None:
    odd = hub.folder / "a b%41?c#d"
    hub.state = odd

    hub.up_and_ready(f"--state={odd}")

    order = hub.get(1, "/env")
    assert unquote(order["ORDER_DATABASE_URL"]) == f"sqlite+aiosqlite:///{odd}/data/order.db"
    assert urlsplit(order["ORDER_DATABASE_URL"]).query == ""
    assert unquote(order["CORTEX_REDIS_URL"]) == f"unix://{odd}/redis/redis.sock"


def test_only_some_services_keep_their_ports(hub: "Hub") -> None:
    hub.up_and_ready("--only", "gateway,analytics")

    assert set(hub.pids()) == {"redis", "gateway", "analytics"}
    assert hub.get(0, "/env")["GATEWAY_ORDER_URL"] == hub.url(1)
    assert hub.service("analytics")["url"] == hub.url(2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_and_is_no_failure(hub: "Hub", number: signal.Signals) -> None:
    process = hub.up_and_ready()
    pids = hub.pids()

    status, out, _ = hub.finish(process, number)

    assert status == 0
    assert "Stopped in" in out
    assert [name for name, pid in pids.items() if hub.runs(pid)] == []
    assert not hub.record()


def test_the_terminals_ctrl_c_reaches_services_once_and_from_the_supervisor(hub: "Hub") -> None:
    process = hub.up_and_ready()

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group of processes in front
    status, _, _ = hub.finish(process, None)

    assert status == 0
    assert "KeyboardInterrupt" not in (hub.state / "logs" / "order.log").read_text()
    assert [line["event"] for line in _lines(hub, "order")] == ["started", "told to end", "ends"]


def test_the_gateway_goes_first_and_what_services_stand_on_last(hub: "Hub") -> None:
    process = hub.up_and_ready(FAKE_GATEWAY="lingering", FAKE_ORDER="lingering")

    hub.finish(process)

    told = {name: _lines(hub, name)[-2]["at"] for name in ("gateway", "order", "analytics", "bank")}
    ended = {name: _lines(hub, name)[-1]["at"] for name in ("gateway", "order", "analytics", "bank")}
    assert ended["gateway"] <= min(told["order"], told["analytics"])
    assert max(ended["order"], ended["analytics"]) <= told["bank"]
    assert "Redis is now ready to exit" in (hub.state / "logs" / "redis.log").read_text()


@pytest.mark.bound
def test_a_service_that_does_not_hear_is_killed_within_five_seconds(hub: "Hub") -> None:
    process = hub.up_and_ready(FAKE_ORDER="stubborn")
    pids = hub.pids()

    status, out, _ = hub.finish(process)

    seconds = float(re.search(r"Stopped in ([\d.]+) s", out)[1])
    assert status == 0
    assert "killed, as too slow: order" in out
    assert seconds > 3
    assert_bound(seconds, 5)
    assert not any(hub.runs(pid) for pid in pids.values())


def test_a_second_ctrl_c_does_not_wait(hub: "Hub") -> None:
    process = hub.up_and_ready(FAKE_ORDER="stubborn")
    pids = hub.pids()

    def ended_by_another_ctrl_c() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    hub.eventually(ended_by_another_ctrl_c)
    status, out, _ = hub.finish(process, None)

    assert status == 0
    assert float(re.search(r"Stopped in ([\d.]+) s", out)[1]) < 3
    assert not any(hub.runs(pid) for pid in pids.values())


def test_nothing_is_left_of_a_hub_whose_supervisor_was_killed(hub: "Hub") -> None:
    process = hub.up_and_ready()
    pids = hub.pids()

    hub.finish(process, signal.SIGKILL)

    hub.eventually(lambda: not any(hub.runs(pid) for pid in pids.values()))


def test_a_state_left_by_a_killed_supervisor_is_taken_over(hub: "Hub") -> None:
    first = hub.up_and_ready()
    hub.finish(first, signal.SIGKILL)
    assert hub.record()

    assert hub.cortex("status").returncode == 3
    second = hub.up_and_ready()

    assert hub.record()["supervisor"]["pid"] == second.pid
    assert hub.status()["running"]


def test_a_taken_port_is_one_line_that_names_it_and_who_has_it(hub: "Hub") -> None:
    with socket.create_server(("127.0.0.1", hub.port_base + 1)):
        result = hub.cortex("up", f"--port-base={hub.port_base}")

    assert result.returncode == 1
    assert re.fullmatch(
        rf"cortex: port {hub.port_base + 1}, which order needs, is taken by \S+ \(pid \d+\); pass --port-base N .*\n",
        result.stderr,
    )
    assert result.stdout == ""
    assert not hub.record()


def test_the_exporters_port_is_looked_at_too(hub: "Hub") -> None:
    with socket.create_server(("127.0.0.1", hub.port_base + 3)):
        result = hub.cortex("up", f"--port-base={hub.port_base}")

    assert result.returncode == 1
    assert f"port {hub.port_base + 3}, which analytics's exporter needs, is taken" in result.stderr


def test_a_second_hub_on_the_same_state_is_refused_in_one_line(hub: "Hub") -> None:
    process = hub.up_and_ready()

    result = hub.cortex("up", f"--port-base={hub.port_base}")

    assert result.returncode == 1
    assert f"already runs on {hub.state} (pid {process.pid})" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert hub.cortex("status").returncode == 0


def test_two_hubs_run_side_by_side(make_hub: "Callable[[], Hub]") -> None:
    one, other = make_hub(), make_hub()
    one.up_and_ready()
    other.up_and_ready()

    assert one.cortex("down").returncode == 0

    assert one.cortex("status").returncode == 3
    assert other.cortex("status").returncode == 0


def test_a_reader_that_goes_away_does_not_end_the_hub(hub: "Hub") -> None:
    process = hub.up()
    process.stdout.close()
    process.stdout = None
    hub.eventually(lambda: hub.record().get("phase") == "ready")

    status, _, errors = hub.finish(process)

    assert (status, errors) == (0, "")


def _lines(hub: "Hub", name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (hub.state / "logs" / f"{name}.log").read_text().splitlines()]
