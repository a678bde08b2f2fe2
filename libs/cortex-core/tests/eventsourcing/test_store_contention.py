"""The expected version decides, between processes too, on both databases."""

import asyncio
import sys
from pathlib import Path

import pytest

from cortex_core.eventsourcing.sql import open_event_store, upgrade

PROGRAM = Path(__file__).parent / "programs" / "contender.py"


@pytest.fixture
def database_url(on_both: str) -> str:
    return on_both


async def test_of_32_writers_in_two_processes_each_version_has_one_winner(database_url: str) -> None:
    await upgrade(database_url)
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            database_url,
            str(first),
            "16",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for first in (0, 16)
    ]
    for child in children:  # they begin together
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
    said = [
        out.decode().split("\n") for out, _ in await asyncio.gather(*(each.communicate(b"\n") for each in children))
    ]

    wins = dict(tuple(map(int, line.split())) for lines in said for line in lines[1:-1])
    async with open_event_store(database_url) as store:
        read = await store.read("a")
    assert [each.version for each in read] == list(range(1, 33))
    assert wins == {each.version: each.data["by"] for each in read}
    assert sorted(wins.values()) == list(range(32))
    assert all(int(lines[0]) > 0 for lines in said), "the writers never met"
