"""One service as several processes: a real parent, real workers, real signals. Its end: test_workers_drain.py."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from .tea import Service, end_all, serving_with_two, until


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def two(tmp_path: Path) -> Service:
    return serving_with_two(tmp_path)


def test_both_serve_and_either_tells_the_metrics_of_both(two: Service) -> None:
    pids = two.workers()
    before = {two.ask("/tea")[1]["pid"] for _ in range(5)}

    served = 'cortex_hub_http_requests_total{method="GET",route="/tea",service="tea",status="200"} 5.0'
    until(lambda: served in two.ask("/metrics")[1], "five requests")  # the last one is counted once it was answered
    assert len(pids) == 2
    assert before <= pids
    assert "process_resident_memory_bytes" in two.ask("/metrics")[1]


def test_a_worker_that_dies_is_started_anew_and_nobody_else_notices(two: Service) -> None:
    victim, other = sorted(two.workers())

    os.kill(victim, signal.SIGKILL)

    until(lambda: len(two.workers()) == 2 and victim not in two.workers(), "a successor")
    until(lambda: two.ready_workers() == 2, "it is ready")
    assert other in two.workers()
    status, out, _ = two.end()
    assert status == 0
    assert '"a worker died"' in out


def test_the_time_that_a_dead_worker_used_stays_used_and_its_death_is_counted(two: Service) -> None:
    """A counter that falls is one that began anew: Prometheus would add all that the others have used, once more."""
    before = two.figure("process_cpu_seconds_total")
    started = two.figure("process_start_time_seconds")
    victim = min(two.workers())

    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in two.workers(), "its end")

    used = [before, *(two.figure("process_cpu_seconds_total") for _ in range(20))]
    assert used == sorted(used)
    assert two.figure("process_start_time_seconds") == started
    until(lambda: two.ready_workers() == 2, "a successor")
    assert two.figure("cortex_worker_deaths_total") == 1


def test_a_worker_that_is_replaced_is_no_death(two: Service) -> None:
    before = two.workers()
    used = two.figure("process_cpu_seconds_total")

    two.process.send_signal(signal.SIGHUP)
    until(lambda: len(two.workers()) == 2 and not before & two.workers(), "two new ones")

    assert two.figure("cortex_worker_deaths_total") == 0
    assert two.figure("process_cpu_seconds_total") > used


def test_a_parent_that_is_killed_takes_its_workers_along(two: Service) -> None:
    pids = two.workers()

    two.process.kill()

    until(lambda: not any(_lives(pid) for pid in pids), "the workers have ended")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_sighup_replaces_all_under_load_and_no_request_fails(two: Service) -> None:
    before = two.workers()
    answered = 0
    done = asyncio.Event()

    async def load(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while not done.is_set():
            async with session.get(f"http://127.0.0.1:{two.port}/tea") as answer:
                assert answer.status == 200
                await answer.read()
                answered += 1

    connector = aiohttp.TCPConnector(force_close=True)  # a connection each: each is accepted by somebody
    async with aiohttp.ClientSession(connector=connector) as session:
        loads = [asyncio.create_task(load(session)) for _ in range(4)]
        two.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: not before & two.workers() and len(two.workers()) == 2, "both replaced")
        done.set()
        await asyncio.gather(*loads)

    assert answered > 0


def test_sighup_again_and_again_while_they_drain(tmp_path: Path) -> None:
    service = serving_with_two(tmp_path, TEA_DRAIN_DELAY="1")
    first = service.workers()

    for _ in range(4):
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        until(lambda: bool(service.workers() - before), "a successor")  # noqa: B023 - waited for here

    until(lambda: not first & service.workers() and len(service.workers()) == 2, "two others")
    assert service.ask("/tea")[0] == 200
    assert service.end()[0] == 0


def test_a_worker_that_dies_while_it_is_replaced_is_no_trouble(tmp_path: Path) -> None:
    service = serving_with_two(tmp_path)
    first = service.workers()

    service.process.send_signal(signal.SIGHUP)
    until(lambda: bool(service.workers() - first), "a successor")
    for pid in first:
        os.kill(pid, signal.SIGKILL)

    until(lambda: not first & service.workers() and service.ready_workers() == 2, "two others")
    second = service.workers()
    service.process.send_signal(signal.SIGHUP)
    until(lambda: not second & service.workers() and service.ready_workers() == 2, "another round")
    assert len(service.workers()) == 2
    assert service.end()[0] == 0


def test_what_cannot_start_is_not_started_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "cold").touch()
    service = Service(tmp_path, "--workers=2", TEA_COLD=str(tmp_path / "cold"))

    status, out, err = service.end(0)

    assert status == 69
    assert set(err.splitlines()) == {"tea: the kettle is cold"}
    assert "Traceback" not in out


def test_a_successor_that_cannot_start_replaces_nobody(tmp_path: Path) -> None:
    service = Service(tmp_path, TEA_SERVER_WORKERS="2", TEA_COLD=str(tmp_path / "cold"))
    until(lambda: service.ready_workers() == 2, "two workers")
    before = service.workers()

    (tmp_path / "cold").touch()
    service.process.send_signal(signal.SIGHUP)

    assert service.process.stderr is not None
    assert service.process.stderr.readline() == "tea: the kettle is cold\n"
    until(lambda: service.workers() == before, "the two of before")
    assert service.ask("/tea")[0] == 200
    assert service.end()[0] == 0


@pytest.mark.parametrize(
    "arguments", [["--workers"], ["--workers", "0"], ["--workers", "two"], ["--workers=2", "more"]]
)
def test_a_wrong_number_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    service = Service(tmp_path, *arguments)

    _, err = service.process.communicate(timeout=30)

    assert service.process.returncode == 64
    assert err == "tea: --workers takes a number from 1 to 64, and nothing comes after it\n"
