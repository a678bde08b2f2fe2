"""The relay under SIGKILL, and whoever holds a lease under SIGSTOP: real processes, SQLite and PostgreSQL. Each promise
has a control that must fail.

`CORTEX_FAULTS` sets how often a process is killed or stopped; unset, a few times.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import Message, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import eventually

PROGRAMS = Path(__file__).parent / "programs"
FAULTS = int(os.environ.get("CORTEX_FAULTS", "3"))
BATCH = 6
MESSAGES = BATCH * FAULTS * 2 + 4
TTL = 0.3


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = "database_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
async def wire(url: str, tmp_path: Path) -> list[str]:
    """What the bus got while the relay was killed between publish and mark, `FAULTS` times."""
    async with open_event_store(url) as store:
        for version in range(MESSAGES):
            message = Message(f"m{version:03}", "order", "a", b"{}")
            await store.append("a", [NewEvent("ticked", {})], expected_version=version, messages=[message])
    file = tmp_path / "wire"
    kills = 0
    for kills_at in [*(1 + number % 2 for number in range(FAULTS)), 0]:
        relayer = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAMS / "relayer.py", url, file, str(kills_at), str(BATCH)
        )
        kills += await relayer.wait() == -signal.SIGKILL
    assert kills == FAULTS, "the fault did not fire"
    return [line.split()[1] for line in file.read_text().splitlines()]


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
    wire: list[str], url: str
) -> None:
    first_seen = list(dict.fromkeys(wire))
    again = len(wire) - len(first_seen)

    assert again >= BATCH * FAULTS, "a batch a kill is published again; on a busy machine a lease may be lost as well"
    assert first_seen == [f"m{n:03}" for n in range(MESSAGES)]
    async with open_event_store(url) as store:
        assert await store.outbox.count_pending() == 0
        assert await effects(store, wire, inbox=True) == MESSAGES
        assert await effects(store, wire, inbox=False) == MESSAGES + again, "the control: repeated"


@dataclass
class Holder:
    """A process that writes for as long as it believes to hold the lease. `said`: (word, epoch), in order."""

    process: asyncio.subprocess.Process
    heard: list[tuple["Holder", str, int]]
    said: list[tuple[str, int]] = field(default_factory=list)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, epoch = line.split()
            self.said.append((word.decode(), int(epoch)))
            self.heard.append((self, word.decode(), int(epoch)))

    def writes_in(self, epoch: int) -> bool:
        return ("wrote", epoch) in self.said


@asynccontextmanager
async def holders(url: str, *, fenced: bool) -> AsyncIterator[list[tuple[Holder, str, int]]]:
    """Two of them while the block runs; what both say, in the order we hear it."""
    heard: list[tuple[Holder, str, int]] = []
    both, ears = [], []
    for name in "ab":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAMS / "holder.py",
            url,
            name,
            str(TTL),
            "fenced" if fenced else "unfenced",
            stdout=asyncio.subprocess.PIPE,
        )
        both.append(Holder(process, heard))
        ears.append(asyncio.create_task(both[-1].listen()))
    try:
        yield heard
    finally:
        for each in both:
            each.process.send_signal(signal.SIGCONT)
            each.process.kill()
            await each.process.wait()
        await asyncio.gather(*ears)


def leader(heard: list[tuple[Holder, str, int]]) -> tuple[Holder, int] | None:
    """The last one to have gained it, once it writes."""
    gains = [(holder, epoch) for holder, word, epoch in heard if word == "gained"]
    if not gains or not gains[-1][0].writes_in(gains[-1][1]):
        return None
    return gains[-1]


async def stale_writes(url: str) -> int:
    """Events that were written after one of a later epoch."""
    async with open_event_store(url) as store:
        epochs = [int(each.data["epoch"]) for each in await store.read_all(limit=100_000)]
    assert len(set(epochs)) > FAULTS, "the lease did not change hands"
    return sum(epoch < max(epochs[:position], default=0) for position, epoch in enumerate(epochs))


async def stop_leaders(url: str, *, fenced: bool) -> int:
    """Stops whoever leads for three times its lease, until `FAULTS` of them have been replaced meanwhile. Returns how
    many writes were refused.

    In SQLite a process that is stopped within its write holds the file's lock: then nobody can replace it, nor write.
    So it is stopped when it has just written.
    """
    async with open_event_store(url):  # the tables, before two make them at once
        pass
    replaced = 0
    async with holders(url, fenced=fenced) as heard:
        for _ in range(10 * FAULTS):
            stopped, epoch = await eventually(lambda: leader(heard), within=30)
            told = len(stopped.said)
            await eventually(lambda: len(stopped.said) > told, within=30)  # noqa: B023 - it has just written
            stopped.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3 * TTL)
            found = leader(heard)
            stopped.process.send_signal(signal.SIGCONT)
            if found is not None and found[1] > epoch:
                replaced += 1
                await eventually(lambda: ("lost", epoch) in stopped.said, within=30)  # noqa: B023 - asked at once
            if replaced == FAULTS:
                return sum(word == "fenced" for _, word, _ in heard)
    raise AssertionError("the fault did not fire: nobody was replaced")


async def test_whoever_was_stopped_and_replaced_writes_nothing(url: str) -> None:
    refused = await stop_leaders(url, fenced=True)

    assert refused > 0, "the fault did not fire: nobody tried"
    assert await stale_writes(url) == 0


async def test_control_without_a_fence_whoever_was_stopped_writes(url: str) -> None:
    assert await stop_leaders(url, fenced=False) == 0

    assert await stale_writes(url) > 0
