"""One of a group raises, breaks the transaction, or the database does: who suffers. SQLite, within one process."""

import asyncio
import itertools
import sqlite3
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import FakeClock

from .groups import Gate, appending, busy, hurry_alsos, outgoing, queued, settled, streams, ticked


async def test_an_also_that_is_cancelled_from_within_is_its_callers_affair(sql_store: SqlEventStore) -> None:
    async def gives_up(_: AsyncConnection) -> None:
        raise asyncio.CancelledError

    async with busy(sql_store):
        tasks = [appending(sql_store, "a"), appending(sql_store, "b", also=gives_up), appending(sql_store, "c")]
        await queued(sql_store, 3)

    assert [type(each) for each in await settled(*tasks)] == [int, asyncio.CancelledError, int]
    assert await streams(sql_store) == {"busy", "a", "c"}


async def test_control_tried_together_one_that_raises_takes_the_others_along(sql_store: SqlEventStore) -> None:
    """What savepoints are for: the first attempt alone, without the second, undoes everybody."""

    async def refuse(_: AsyncConnection) -> None:
        raise ValueError

    async def first_attempt_only(group: Any) -> list[Any]:
        try:
            return await committer._together(group)
        except Exception as error:  # noqa: BLE001 - as a writer without savepoints would do
            return [error] * len(group)

    committer = sql_store._group._committer
    committer.commit = first_attempt_only  # type: ignore[method-assign]
    async with busy(sql_store):
        tasks = [appending(sql_store, "a"), appending(sql_store, "b", also=refuse), appending(sql_store, "c")]
        await queued(sql_store, 3)

    assert all(isinstance(each, Exception) for each in await settled(*tasks))
    assert await streams(sql_store) == {"busy"}


async def refusing(store: SqlEventStore, how: str) -> None:
    """From now on the database refuses the stream `bad`, as it would a wrong value."""
    trigger = f"BEFORE INSERT ON events WHEN new.stream = 'bad' BEGIN SELECT RAISE({how}, 'not this one'); END"
    async with store.transaction() as connection:
        await connection.execute(text(f"CREATE TRIGGER boom {trigger}"))


@pytest.mark.parametrize("how", ["ABORT", "ROLLBACK"])
async def test_an_error_of_the_database_is_only_the_affair_of_whoever_caused_it(
    sql_store: SqlEventStore, how: str
) -> None:
    """Even where it undoes everything (ROLLBACK), savepoints with it: who came before becomes durable all the same."""
    await refusing(sql_store, how)
    async with busy(sql_store):
        tasks = [appending(sql_store, name) for name in ("a", "bad", "c")]
        await queued(sql_store, 3)

    outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [int, IntegrityError, int]
    assert await streams(sql_store) == {"busy", "a", "c"}


async def test_where_no_transaction_can_be_begun_not_everybody_has_to_try(sql_store: SqlEventStore) -> None:
    """The group was tried together, and apart; and now that each is to be tried alone, the database is gone."""
    await refusing(sql_store, "ROLLBACK")
    async with busy(sql_store):
        tasks = [appending(sql_store, name) for name in ("a", "bad", "c", "d")]
        await queued(sql_store, 4)
        gone = Trouble(sql_store, "begin", sqlite3.SQLITE_CANTOPEN, spared=2)

    outcomes = await settled(*tasks)
    gone.on = False

    assert gone.failed == 1
    assert all(isinstance(each, EventStoreUnavailable) and not each.attempted for each in outcomes)
    assert await streams(sql_store) == {"busy"}


async def test_whoever_breaks_the_commit_breaks_his_own(sql_store: SqlEventStore) -> None:
    """A deferred foreign key is looked at by COMMIT, when no savepoint is left to go back to."""
    async with sql_store.transaction() as connection:
        await connection.execute(
            text("CREATE TABLE notes (of TEXT REFERENCES outbox (id) DEFERRABLE INITIALLY DEFERRED)")
        )

    async def dangling(connection: AsyncConnection) -> None:
        await connection.execute(text("INSERT INTO notes VALUES ('never sent')"))

    async with busy(sql_store):
        tasks = [appending(sql_store, "a"), appending(sql_store, "bad", also=dangling), appending(sql_store, "c")]
        await queued(sql_store, 3)

    outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [int, IntegrityError, int]
    assert await streams(sql_store) == {"busy", "a", "c"}


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_an_also_that_ends_the_transaction_and_hangs_has_ended_it(
    database_url: str, clock: FakeClock, end: str
) -> None:
    ended: list[str] = []

    async def ends(connection: AsyncConnection) -> None:
        await getattr(connection, end)()
        ended.append(end)
        await asyncio.Event().wait()

    async with open_event_store(database_url, clock=clock) as store:
        hurry_alsos(store)
        for n in itertools.count():
            outcomes = await settled(appending(store, f"a{n}"), appending(store, f"bad{n}", also=ends))
            if ended:
                break  # else its time was over before it had ended anything: the machine stood still

        assert [type(each) for each in outcomes] == [EventStoreUnavailable, RuntimeError]


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_an_also_must_not_end_the_transaction(sql_store: SqlEventStore, end: str) -> None:
    async def ends(connection: AsyncConnection) -> None:
        await getattr(connection, end)()

    async with busy(sql_store):
        tasks = [appending(sql_store, "a"), appending(sql_store, "bad", also=ends)]
        await queued(sql_store, 2)

    outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [EventStoreUnavailable, RuntimeError]
    assert await sql_store.append("next", [ticked()], expected_version=0) == 1


async def test_an_also_that_hangs_is_its_callers_affair_and_is_called_once(database_url: str, clock: FakeClock) -> None:
    called: list[int] = []

    async def hangs(_: AsyncConnection) -> None:
        called.append(1)
        await asyncio.Event().wait()

    async with open_event_store(database_url, clock=clock) as store:
        hurry_alsos(store)
        tasks = [appending(store, name, also=hangs if name == "b" else None) for name in "abc"]
        outcomes = await settled(*tasks)

        assert [type(each) for each in outcomes] == [int, EventStoreUnavailable, int]
        assert "did not come to its end in time" in str(outcomes[1])
        assert called == [1], "everybody would have waited for it again"
        assert await streams(store) == {"a", "c"}


async def test_an_also_that_hangs_alone_is_told_so(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock, busy_timeout=0.02) as store:
        [outcome] = await settled(appending(store, "a", also=Gate()))

        assert isinstance(outcome, EventStoreUnavailable)
        assert await streams(store) == set()


async def test_an_also_that_hangs_and_whose_caller_has_left_stops_nobody(database_url: str, clock: FakeClock) -> None:
    gate = Gate()
    async with open_event_store(database_url, clock=clock) as store:
        hurry_alsos(store)
        leaving = appending(store, "leaving", also=gate)
        await gate.entered.wait()
        leaving.cancel()
        await settled(leaving)
        while await streams(store) != {"next"}:
            await settled(appending(store, "next"))


class Trouble:
    """Fails what an engine does at `moment`, the first `spared` times aside, while it is `on`: as SQLite does then."""

    def __init__(self, store: SqlEventStore, moment: str, code: int, spared: int) -> None:
        self.on = True
        self.failed = 0
        self._code = code
        self._spared = spared
        event.listen(store._engines.writer.sync_engine, moment, self._fail)

    def _fail(self, _: Any) -> None:
        self._spared -= 1
        if self.on and self._spared < 0:
            self.failed += 1
            error = sqlite3.OperationalError("trouble")
            error.sqlite_errorcode = self._code
            raise error


async def test_a_commit_that_fails_fails_everybody_and_leaves_nothing(sql_store: SqlEventStore) -> None:
    disk = Trouble(sql_store, "commit", sqlite3.SQLITE_FULL, spared=1)
    async with busy(sql_store):
        tasks = [appending(sql_store, f"s{n}", messages=[outgoing(f"m{n}")]) for n in range(4)]
        await queued(sql_store, 4)

    outcomes = await settled(*tasks)
    disk.on = False

    assert disk.failed == 1, "the fault did not fire, or the group was tried again in vain"
    assert all(isinstance(each, EventStoreUnavailable) and each.attempted for each in outcomes)
    assert len({id(each) for each in outcomes}) == 4, "each has an exception of his own"
    assert await streams(sql_store) == {"busy"}
    assert await sql_store.outbox.count_pending() == 0
    assert await sql_store.append("s0", [ticked()], expected_version=0) == 1


async def test_a_database_that_cannot_be_begun_with_was_not_attempted(database_url: str, clock: FakeClock) -> None:
    async with (
        open_event_store(database_url, clock=clock) as other,
        open_event_store(database_url, clock=clock, busy_timeout=0.05) as store,
    ):
        async with other.transaction():
            outcomes = await settled(*[appending(store, f"s{n}") for n in range(3)])

        assert all(isinstance(each, EventStoreUnavailable) and not each.attempted for each in outcomes)
        assert await streams(store) == set()


async def test_closing_tells_those_who_wait_and_sees_the_others_through(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock) as store:
        gate = Gate()
        under_way = appending(store, "under way", also=gate)
        await gate.entered.wait()
        waiting = appending(store, "waiting")
        await queued(store, 1)

        closing = asyncio.create_task(store.close())
        [refused] = await settled(waiting)
        gate.open()
        await closing

        assert await under_way == 1
        assert isinstance(refused, EventStoreUnavailable) and not refused.attempted
        assert await streams(store) == {"under way"}
        with pytest.raises(EventStoreUnavailable, match="closed"):
            await store.append("late", [ticked()], expected_version=0)


async def test_closing_does_not_wait_for_ever(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock, busy_timeout=0.02) as store:
        stuck = appending(store, "stuck", also=Gate())
        await asyncio.sleep(0.01)

    [outcome] = await settled(stuck)
    assert isinstance(outcome, EventStoreUnavailable)
    async with open_event_store(database_url, clock=clock) as store:
        assert await streams(store) == set()


def test_an_event_loop_that_ends_leaves_nothing_hanging(database_url: str) -> None:
    outcomes: list[BaseException] = []

    async def caller(store: SqlEventStore, stream: str, gate: Gate) -> None:
        try:
            await store.append(stream, [ticked()], expected_version=0, also=gate)
        except BaseException as error:
            outcomes.append(error)
            raise

    opened = open_event_store(database_url)

    async def life() -> None:
        gate = Gate()
        store = await opened.__aenter__()
        callers = [asyncio.create_task(caller(store, f"s{n}", gate)) for n in range(2)]
        await gate.entered.wait()
        assert len(callers) == 2  # and the loop ends, without anything being closed

    asyncio.run(asyncio.wait_for(life(), 30))

    assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 2

    async def afterwards() -> int:
        await opened.__aexit__(None, None, None)
        async with open_event_store(database_url) as store:
            return await store.append("a", [ticked()], expected_version=0)

    assert asyncio.run(afterwards()) == 1
