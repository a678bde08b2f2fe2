"""Whoever writes gets his turn: groups among transactions, transactions among groups, first come, first served."""

import asyncio

from sqlalchemy import event, text

from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.testing import eventually

from .groups import ticked


async def test_transactions_get_their_turn_among_appends(sql_store: SqlEventStore, commits: list[int]) -> None:
    done = asyncio.Event()

    async def writer(number: int) -> None:
        version = 0
        while not done.is_set():
            version = await sql_store.append(f"s{number}", [ticked()], expected_version=version)

    writers = [asyncio.create_task(writer(number)) for number in range(16)]
    await eventually(lambda: len(commits) > 3)
    began = len(commits)
    for _ in range(5):
        async with sql_store.transaction() as connection:
            await connection.execute(text("DELETE FROM inbox"))
    taken = len(commits) - began
    done.set()
    await asyncio.gather(*writers)

    assert taken <= 5 * 3, "a transaction lets one group pass, not many"


async def test_whoever_comes_as_a_turn_ends_is_behind_those_who_waited(sql_store: SqlEventStore) -> None:
    """The pool by itself would give him the connection that was put back a moment ago."""
    order: list[str] = []
    newcomers: list[asyncio.Task[None]] = []

    async def take(name: str) -> None:
        async with sql_store.transaction():
            order.append(name)

    def come(*_: object) -> None:
        if not newcomers:
            newcomers.append(asyncio.ensure_future(take("newcomer")))

    async with sql_store.transaction():
        waiting = asyncio.create_task(take("waiting"))
        await asyncio.sleep(0)
        event.listen(sql_store._engines.writer.sync_engine, "checkin", come)

    await waiting
    await asyncio.gather(*newcomers)
    assert order == ["waiting", "newcomer"]


async def test_appends_get_their_turn_among_transactions(sql_store: SqlEventStore, commits: list[int]) -> None:
    done = asyncio.Event()

    async def writer() -> None:
        while not done.is_set():
            async with sql_store.transaction() as connection:
                await connection.execute(text("DELETE FROM inbox"))

    writers = [asyncio.create_task(writer()) for _ in range(4)]
    await eventually(lambda: len(commits) > 3)
    began = len(commits)
    for version in range(3):
        await sql_store.append("a", [ticked()], expected_version=version)
    taken = len(commits) - began
    done.set()
    await asyncio.gather(*writers)

    assert taken <= 3 * 7, "an append waits for those who came before it, and for no others"
