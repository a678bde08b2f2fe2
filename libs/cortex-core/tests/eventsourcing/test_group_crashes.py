"""Group commit under SIGKILL and on a disk that is really full, on real processes, with 64 writers at once."""

import asyncio
import signal
import sys
from collections import defaultdict
from pathlib import Path

from cortex_core.eventsourcing.sql import open_event_store

PROGRAM = Path(__file__).parent / "programs/appenders.py"
WRITERS = 64
KILLS = 3
HEARD = 640  # lines, some ten groups


async def acknowledged_until_killed(url: str, mode: str) -> dict[str, int]:
    """The last version of each stream that the child called acknowledged before it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, url, str(WRITERS), mode, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    lines = [await asyncio.wait_for(child.stdout.readline(), 30) for _ in range(HEARD)]
    child.kill()
    rest = await child.stdout.read()  # what it still said before it died counts too
    assert await child.wait() == -signal.SIGKILL, "the fault did not fire"
    return last_versions([*lines, *rest.splitlines(keepends=True)])


def last_versions(lines: list[bytes]) -> dict[str, int]:
    told: dict[str, int] = {}
    for line in lines:
        if line.endswith(b"\n"):
            stream, version = line.decode().split()
            told[stream] = int(version)
    return told


async def stored(url: str) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    async with open_event_store(url) as store:
        after = 0
        while page := await store.read_all(after=after, limit=1_000):
            for each in page:
                found[each.stream].append(each.version)
            after = page[-1].position
    return found


async def test_what_64_writers_were_told_outlives_sigkill(database_url: str) -> None:
    for _ in range(KILLS):
        acknowledged = await acknowledged_until_killed(database_url, "honest")

        found = await stored(database_url)
        assert len(acknowledged) == WRITERS
        for stream, version in acknowledged.items():
            assert found[stream] == list(range(1, len(found[stream]) + 1))
            assert version <= len(found[stream]) <= version + 1  # one may have been committed and not yet told


async def test_control_told_before_the_commit_a_whole_group_is_lost(database_url: str) -> None:
    acknowledged = await acknowledged_until_killed(database_url, "early")

    found = await stored(database_url)
    lost = {stream for stream, version in acknowledged.items() if version > len(found[stream])}
    assert lost, "nothing that was told too early was lost: the control does not show anything"


async def test_on_a_full_disk_no_member_of_a_group_is_acknowledged_that_is_not_there(database_url: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, database_url, str(WRITERS), "1500000", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)

    lines = out.splitlines(keepends=True)
    refused = [line for line in lines if line.startswith(b"refused")]
    told = last_versions([line for line in lines if not line.startswith(b"refused")])
    assert child.returncode == 0
    assert refused == [b"refused event-store.unavailable\n"] * WRITERS, "the fault fired for each writer"
    assert len(lines) > 3 * WRITERS, "the limit came before the first group"
    assert {stream: len(versions) for stream, versions in (await stored(database_url)).items()} == told
