"""Promises under SIGKILL and a disk that is really full, on real processes and both databases. Each has a control that
must fail."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from cortex_core.eventsourcing.sql import open_event_store

PROGRAMS = Path(__file__).parent / "programs"
KILLS = 2


@pytest.fixture
def database_url(on_both: str) -> str:
    return on_both


async def appended_until_killed(url: str, mode: str, kill_after: int) -> int:
    """The last version a child called acknowledged before it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAMS / "appender.py", url, mode, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = 0
    for _ in range(kill_after):
        acknowledged = int(await asyncio.wait_for(child.stdout.readline(), 30))
    child.kill()
    rest = await child.stdout.read()  # what it still said before it died counts too
    assert await child.wait() == -signal.SIGKILL
    return int(rest.split()[-1]) if rest.endswith(b"\n") else acknowledged


async def stored(url: str) -> list[int]:
    async with open_event_store(url) as store:
        return [each.version for each in await store.read("a")]


async def test_what_was_acknowledged_outlives_sigkill(database_url: str) -> None:
    for life in range(1, KILLS + 1):
        acknowledged = await appended_until_killed(database_url, "honest", kill_after=15 * life)

        versions = await stored(database_url)
        assert versions == list(range(1, len(versions) + 1))
        assert acknowledged <= len(versions) <= acknowledged + 1  # one may have been committed and not yet told


async def test_control_acknowledging_before_the_commit_loses(database_url: str) -> None:
    acknowledged = await appended_until_killed(database_url, "early", kill_after=10)

    assert await stored(database_url) == list(range(1, acknowledged)), "the last one was acknowledged, and is lost"


async def test_a_file_that_may_not_grow_acknowledges_nothing_it_cannot_keep(tmp_path: Path) -> None:
    """A real limit of the system: writes beyond 400 kB fail, as they do on a full disk. PostgreSQL's twin is in
    test_postgres_crashes.py."""
    database_url = f"sqlite+aiosqlite:///{tmp_path}/store.db"
    program = """
import asyncio, resource, signal, sys
from cortex_core.eventsourcing import EventStoreUnavailable, NewEvent
import pytest

from cortex_core.eventsourcing.sql import open_event_store

async def main(url):
    async with open_event_store(url) as store:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        for version in range(1000):
            try:
                await store.append("a", [NewEvent("ticked", {"note": "x" * 5000})], expected_version=version)
            except EventStoreUnavailable as error:
                print(error.code, flush=True)
                break
            print(version + 1, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(await store.append("a", [NewEvent("ticked", {})], expected_version=version), flush=True)

asyncio.run(main(sys.argv[1]))
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, database_url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)

    *acknowledged, refused, after_room_was_made = out.decode().split()
    assert child.returncode == 0
    assert refused == "event-store.unavailable"
    assert acknowledged, "the limit came before the first append"
    assert int(after_room_was_made) == len(acknowledged) + 1
    assert await stored(database_url) == list(range(1, len(acknowledged) + 2))
