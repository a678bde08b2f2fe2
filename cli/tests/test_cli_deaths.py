"""A process that dies by itself, or never gets ready: who is told what, and what becomes of the rest."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import psutil
import pytest

from cortex_cli.backoff import Backoff
from cortex_cli.child import Child
from cortex_cli.plan import Program
from cortex_cli.probe import Answer
from cortex_cli.state import Identity

if TYPE_CHECKING:
    from cli.tests.conftest import Hub


def kill_by_request(hub: "Hub", offset: int) -> None:
    with suppress(URLError, ConnectionError, ValueError):  # it may die before its answer is out
        hub.get(offset, "/die")


def test_a_service_that_dies_is_told_of_and_the_rest_is_stopped(hub: "Hub") -> None:
    process = hub.up_and_ready()
    pids = hub.pids()

    kill_by_request(hub, 1)
    status, _, errors = hub.finish(process, None)

    assert status == 1
    assert f"order (pid {pids['order']}) ended by itself: exit status 3; the rest is stopped" in errors
    assert "last words" in errors
    assert not any(hub.runs(pid) for pid in pids.values())


def test_a_service_killed_by_a_signal_is_told_of_by_its_name(hub: "Hub") -> None:
    process = hub.up_and_ready()

    os.kill(hub.pids()["gateway"], signal.SIGKILL)
    status, _, errors = hub.finish(process, None)

    assert status == 1
    assert "ended by itself: SIGKILL" in errors


@pytest.mark.parametrize("detach", [False, True])
def test_a_service_that_cannot_start_fails_the_start_with_its_reason(hub: "Hub", detach: bool) -> None:
    arguments = ["up", f"--port-base={hub.port_base}", *(["--detach"] if detach else [])]

    result = hub.cortex(*arguments, FAKE_ORDER="broken")

    assert result.returncode == 1
    assert "order: the flux capacitor is missing" in result.stderr
    assert "Traceback" not in result.stderr
    assert not hub.record()


async def test_a_process_that_ended_before_anybody_looked_has_ended_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready() -> Answer:
        raise AssertionError("nobody asks")

    def gone(pid: int) -> Identity:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(Identity, "of", gone)
    child = Child(Program("order", "service", ("false",), {}, tmp_path / "order.log", "http://127.0.0.1:1", ready))

    await child.start()

    assert await child.ended() == 1
    assert child.member.identity is None


def test_a_service_that_is_never_ready_is_named_with_its_reason(hub: "Hub") -> None:
    result = hub.cortex("up", f"--port-base={hub.port_base}", "--timeout=1.5", FAKE_ANALYTICS="unready")

    assert result.returncode == 1
    assert "analytics is not ready after 1.5 s: tea: the kettle is cold" in result.stderr
    assert "gateway is not" not in result.stderr
    assert not hub.record()


def test_with_restart_a_service_comes_back_later_each_time_and_is_counted(hub: "Hub") -> None:
    process = hub.up_and_ready("--restart")
    before = hub.pids()

    for restarts in (1, 2):
        kill_by_request(hub, 1)
        hub.eventually(lambda wanted=restarts: _order_is_back(hub, wanted))

    assert hub.service("order")["restarts"] == 2
    assert {name for name, pid in hub.pids().items() if pid != before[name]} == {"order"}
    status, _, errors = hub.finish(process)
    assert status == 0
    assert "started again in 0.5 s" in errors
    assert "started again in 1 s" in errors


@pytest.mark.parametrize("name", ["redis", "bank"])
def test_what_services_stand_on_comes_back_without_being_asked(hub: "Hub", name: str) -> None:
    hub.up_and_ready()
    before = hub.pids()

    os.kill(before[name], signal.SIGKILL)

    hub.eventually(lambda: hub.pids()[name] != before[name] and hub.cortex("status").returncode == 0)
    assert {each for each, pid in hub.pids().items() if pid != before[each]} == {name}
    assert next(row for row in hub.status()["foundation"] if row["name"] == name)["restarts"] == 1


def test_backoff_doubles_up_to_half_a_minute_and_forgets_the_healthy() -> None:
    backoff = Backoff()

    delays = [backoff.after("order", lived=1) for _ in range(8)]

    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after("gateway", lived=1) == 0.5
    assert backoff.after("order", lived=60) == 0.5
    assert backoff.after("order", lived=59) == 1


def _order_is_back(hub: "Hub", restarts: int) -> bool:
    order = next(member for member in hub.record()["members"] if member["name"] == "order")
    return order["restarts"] == restarts and order["ready_after"] is not None
