"""Append: 32 writers in four processes race for one stream; the expected version decides, each has one winner."""

import asyncio
from collections import Counter

from sqlalchemy import text

from chaos.experiment import Control, Experiment, Outcome
from chaos.surroundings import Process, Surroundings
from cortex_core.eventsourcing.sql import open_event_store

PROCESSES, WRITERS, WINS = 4, 8, 60


async def shipped(around: Surroundings) -> Outcome:
    """Broken: versions missing, claimed twice, or held by another event than its winner was told."""
    database = around.new_database()
    async with open_event_store(database) as store:
        claims, refused = await _race(around, database, naive=False)
        stored = {record.version: record.id for record in await store.read("raced")}
    total = len(claims)
    dense = sorted(stored) == list(range(1, total + 1))
    twice = sum(count - 1 for count in Counter(version for version, _ in claims).values())
    wrong = sum(stored.get(version) != event_id for version, event_id in claims)
    figures = {"versions": len(stored), "won": total, "refused": refused, "won twice": twice, "not as told": wrong}
    return Outcome(refused, twice + wrong + (not dense), figures)


async def without_expected_version(around: Surroundings) -> Outcome:
    database = around.new_database()
    async with open_event_store(database) as store:
        async with store.transaction() as connection:
            await connection.execute(text("CREATE TABLE naive (version INTEGER NOT NULL, id TEXT NOT NULL)"))
        claims, _ = await _race(around, database, naive=True)
    twice = sum(count - 1 for count in Counter(version for version, _ in claims).values())
    return Outcome(len(claims), twice, {"won": len(claims), "won twice": twice})


async def _race(around: Surroundings, database: str, *, naive: bool) -> tuple[list[tuple[int, str]], int]:
    """What each winner was told, and how often a writer was refused."""
    wins = around.count(WINS, 5)
    arguments = ("-m", "chaos.programs.appender", database, "raced", str(WRITERS), str(wins), str(int(naive)))
    racers = [Process(arguments, around.folder / f"racer-{number}.log") for number in range(PROCESSES)]
    for racer in racers:
        racer.log.unlink(missing_ok=True)
        await racer.start()
    if any(await asyncio.gather(*(racer.wait() for racer in racers))):
        raise RuntimeError("\n".join(racer.last_words() for racer in racers))
    claims: list[tuple[int, str]] = []
    refused = 0
    for racer in racers:
        for line in racer.log.read_text().splitlines():
            first, second = line.split()
            if first == "refused":
                refused += int(second)
            else:
                claims.append((int(first), second))
    return claims, refused


EXPERIMENT = Experiment(
    "append",
    "the expected version decides: versions dense 1..N, one winner each",
    shipped,
    [Control("no expected version", without_expected_version)],
)
