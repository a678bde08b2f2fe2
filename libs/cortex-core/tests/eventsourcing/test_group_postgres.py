"""Groups on PostgreSQL, whose writers do not take turns: another process is in the way, or the server is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import EventStoreUnavailable, Fence, Fenced, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.postgres_server import PostgresServer

from .groups import Gate, appending, busy, hurry_alsos, queued, settled, streams, three, ticked, write

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.fixture
async def store(postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(postgres_url, clock=clock) as store:
        yield store


@pytest.fixture
async def other(postgres_url: str, clock: FakeClock, store: SqlEventStore) -> AsyncIterator[SqlEventStore]:
    """Of another process, as far as the database can tell. Its transactions are raw, so that they come half-way."""
    async with open_event_store(postgres_url, clock=clock) as other:
        yield other


async def held_up(store: SqlEventStore) -> None:
    """Returns when somebody waits for somebody's lock."""

    async def waiting() -> bool:
        async with store.reading() as connection:
            return bool((await connection.execute(_WAITING)).scalar_one())

    await eventually(waiting)


@pytest.mark.parametrize("commits", [True, False])
async def test_whoever_loses_a_race_is_stale_and_his_group_is_not(
    store: SqlEventStore, other: SqlEventStore, commits: bool
) -> None:
    """The look finds nothing, and the insert meets a version that another process is about to commit."""
    async with other.transaction() as connection:
        await write(connection, "b")
        tasks = await three(store)
        await held_up(other)
        if not commits:
            await connection.rollback()

    outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [int, StaleVersion if commits else int, int]
    if commits:
        assert isinstance(outcomes[1], StaleVersion)
        assert outcomes[1].details == {"stream": "b", "expected": 0, "actual": 1}
    assert await streams(store) == {"busy", "a", "b", "c"}


async def test_a_race_lost_alone_is_stale_too(store: SqlEventStore, other: SqlEventStore) -> None:
    async with other.transaction() as connection:
        await write(connection, "b")
        task = appending(store, "b")
        await held_up(other)

    assert [type(each) for each in await settled(task)] == [StaleVersion]


@pytest.mark.parametrize(("times", "expected"), [(1, int), (2, int), (4, EventStoreUnavailable)])
async def test_a_deadlock_with_another_process_is_gone_through_again(
    store: SqlEventStore, times: int, expected: type
) -> None:
    """What the server says when it ends one of two that wait for each other: once, twice, or at every try."""
    function = f"IF nextval('met') <= {times} THEN RAISE 'deadlock' USING ERRCODE = '40P01'; END IF; RETURN new;"
    trigger = "BEFORE INSERT ON events FOR EACH ROW WHEN (new.stream = 'b') EXECUTE FUNCTION meet()"
    async with store.transaction() as connection:
        await connection.execute(text("CREATE SEQUENCE met"))
        await connection.execute(
            text(f"CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {function} END $$")
        )
        await connection.execute(text(f"CREATE TRIGGER meet {trigger}"))

    outcomes = await settled(*await three(store))

    assert [type(each) for each in outcomes] == [int, expected, int]
    assert await store.append("d", [ticked()], expected_version=0) == 1


async def test_a_deadlock_met_alone_is_gone_through_again(store: SqlEventStore) -> None:
    met: list[int] = []

    async def meets(connection: AsyncConnection) -> None:
        met.append(1)
        if len(met) == 1:
            await connection.execute(text("DO $$ BEGIN RAISE 'deadlock' USING ERRCODE = '40P01'; END $$"))

    assert await store.append("a", [ticked()], expected_version=0, also=meets) == 1
    assert len(met) == 2


async def test_two_processes_and_many_writers_share_streams_in_either_order(
    store: SqlEventStore, other: SqlEventStore
) -> None:
    won: list[tuple[str, int]] = []

    async def writer(mine: SqlEventStore, names: str) -> None:
        for name in names:
            while True:
                version = len(await mine.read(name))
                try:
                    won.append((name, await mine.append(name, [ticked()], expected_version=version)))
                except StaleVersion:
                    continue
                break

    names = "abcdefgh"
    await asyncio.gather(
        *(writer(store, names[n:] + names[:n]) for n in range(8)),
        *(writer(other, (names[n:] + names[:n])[::-1]) for n in range(8)),
    )

    assert sorted(won) == [(name, version) for name in names for version in range(1, 17)]


async def test_a_take_over_waits_for_the_group_that_was_judged_before_it(
    store: SqlEventStore, other: SqlEventStore
) -> None:
    """FOR SHARE: between the look at the lease and the commit nobody changes hands."""
    take_over = text("UPDATE leases SET epoch = 2")
    async with other.transaction() as connection:
        await connection.execute(text("INSERT INTO leases (tenant, name, epoch) VALUES ('public', 'shard', 1)"))
    gate = Gate()
    judged = appending(store, "a", also=gate, fence=Fence("shard", 1))
    await gate.entered.wait()

    async def takes_over() -> None:
        async with other.transaction() as connection:
            await connection.execute(take_over)

    taking = asyncio.create_task(takes_over())
    await held_up(other)
    assert not taking.done()
    gate.open()

    assert await settled(judged) == [1]
    await taking
    with pytest.raises(Fenced):
        await store.append("a", [ticked()], expected_version=1, fence=Fence("shard", 1))


async def test_whoever_loses_the_connection_loses_his_own(store: SqlEventStore) -> None:
    async def hangs_up(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with busy(store):
        tasks = [appending(store, "a"), appending(store, "b", also=hangs_up), appending(store, "c")]
        await queued(store, 3)

    outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [int, EventStoreUnavailable, int]
    assert await streams(store) == {"busy", "a", "c"}


async def test_a_server_that_is_killed_under_a_group_fails_all_of_it(
    store: SqlEventStore, postgres_server: PostgresServer
) -> None:
    gate = Gate()
    tasks = [appending(store, "a", also=gate), appending(store, "b")]
    await gate.entered.wait()
    postgres_server.stop(kill=True)
    gate.open()

    outcomes = await settled(*tasks)
    assert [type(each) for each in outcomes] == [EventStoreUnavailable] * 2

    postgres_server.start()
    assert await streams(store) == set()
    assert await store.append("a", [ticked()], expected_version=0) == 1


async def test_groups_hold_nothing_that_comes_later_than_what_they_wait_for(
    store: SqlEventStore, other: SqlEventStore
) -> None:
    """Two processes that write the same streams come in one order, so neither waits for what waits for it. The other
    one has a and wants b; a group that had taken b already, for b came first, would be its deadlock."""
    async with other.transaction() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '300ms'"))
        await write(connection, "a")
        async with busy(store):
            tasks = [appending(store, "b"), appending(store, "a")]
            await queued(store, 2)
        await held_up(other)
        await write(connection, "b")

    assert [type(each) for each in await settled(*tasks)] == [StaleVersion] * 2


async def test_an_also_that_hangs_in_the_database_is_its_callers_affair(postgres_url: str, clock: FakeClock) -> None:
    async def hangs(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_sleep(60)"))

    async with open_event_store(postgres_url, clock=clock) as store:
        hurry_alsos(store)
        tasks = [appending(store, "a"), appending(store, "b", also=hangs), appending(store, "c")]

        assert [type(each) for each in await settled(*tasks)] == [int, EventStoreUnavailable, int]
        assert await streams(store) == {"a", "c"}
