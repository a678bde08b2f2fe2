"""Promises under SIGKILL and a disk that is really full, on real processes. Each has a control that must fail."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import Message, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store

PROGRAMS = Path(__file__).parent / "programs"
MESSAGES = 40
KILLS = 2


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


@pytest.fixture
async def wire(database_url: str, tmp_path: Path) -> list[str]:
    """What the bus got while the relay was killed between publish and mark, `KILLS` times."""
    async with open_event_store(database_url) as store:
        for version in range(MESSAGES):
            message = Message(f"m{version:02}", "order", "a", b"{}")
            await store.append("a", [NewEvent("ticked", {})], expected_version=version, messages=[message])
    file = tmp_path / "wire"
    kills = 0
    for kills_at in (2, 1, 0):
        relayer = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAMS / "relayer.py", database_url, file, str(kills_at), "6"
        )
        kills += await relayer.wait() == -signal.SIGKILL
    assert kills == KILLS, "the fault did not fire"
    return file.read_text().split()


async def effects(store: SqlEventStore, wire: list[str], *, inbox: bool) -> int:
    """How often a consumer of `wire` had its effect."""
    async with store.transaction() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS effects"))
        await connection.execute(text("CREATE TABLE effects (message_id TEXT)"))
    for message_id in wire:
        async with store.transaction() as connection:
            if inbox and not await store.inbox.once(connection, "counter", message_id):
                continue
            await connection.execute(text("INSERT INTO effects VALUES (:id)"), {"id": message_id})
    async with store.reading() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM effects"))).scalar_one())


async def test_a_relay_killed_before_the_mark_repeats_itself_and_the_inbox_makes_it_once(
    wire: list[str], sql_store: SqlEventStore
) -> None:
    first_seen = list(dict.fromkeys(wire))

    assert len(wire) - len(first_seen) == 6 * KILLS, "a batch a kill is published again"
    assert first_seen == [f"m{n:02}" for n in range(MESSAGES)]
    assert await sql_store.outbox.count_pending() == 0
    assert await effects(sql_store, wire, inbox=True) == MESSAGES
    assert await effects(sql_store, wire, inbox=False) == MESSAGES + 6 * KILLS, "the control: without it, repeated"


async def test_a_file_that_may_not_grow_acknowledges_nothing_it_cannot_keep(database_url: str) -> None:
    """A real limit of the system: writes beyond 400 kB fail, as they do on a full disk."""
    program = """
import asyncio, resource, signal, sys
from cortex_core.eventsourcing import EventStoreUnavailable, NewEvent
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
