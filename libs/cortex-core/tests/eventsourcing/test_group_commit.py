"""Appends that share a commit: counted, bounded, queued. SQLite, within one process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import EventStoreUnavailable, StaleVersion
from cortex_core.eventsourcing.sql import GroupLimits, SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.writing import _places
from cortex_core.kernel.context import current, use_context
from cortex_core.testing import FakeClock

from .groups import Gate, appending, busy, outgoing, queued, settled, streams, ticked


async def test_64_at_once_share_one_commit(sql_store: SqlEventStore, commits: list[int]) -> None:
    async with busy(sql_store):
        tasks = [appending(sql_store, f"s{n}", messages=[outgoing(f"m{n}")]) for n in range(64)]
        await queued(sql_store, 64)
        assert commits == []

    assert await settled(*tasks) == [1] * 64
    assert len(commits) == 2  # the busy one's own, and one for all
    assert await sql_store.outbox.count_pending() == 64


async def test_64_writers_in_a_loop_need_a_commit_a_round(sql_store: SqlEventStore, commits: list[int]) -> None:
    """Whoever is told comes again in time for the next group."""

    async def writer(number: int) -> None:
        for version in range(10):
            await sql_store.append(f"s{number}", [ticked()], expected_version=version)

    await asyncio.gather(*(writer(number) for number in range(64)))

    assert len(commits) <= 12


async def test_those_just_told_and_those_who_came_meanwhile_share_the_next_one(
    sql_store: SqlEventStore, commits: list[int]
) -> None:
    """Were the writer to go on at once, the two halves would take turns, at twice the commits."""
    gate = Gate()

    async def writer(number: int) -> None:
        for version in range(10):
            held = gate if number == version == 0 else None
            await sql_store.append(f"s{number}", [ticked()], expected_version=version, also=held)

    first = [asyncio.create_task(writer(number)) for number in range(8)]
    await gate.entered.wait()
    second = [asyncio.create_task(writer(number)) for number in range(8, 16)]
    await queued(sql_store, 8)
    gate.open()
    await asyncio.gather(*first, *second)

    assert len(commits) <= 13


async def test_one_who_comes_alone_waits_for_nobody(sql_store: SqlEventStore, commits: list[int]) -> None:
    for version in range(5):
        await sql_store.append("a", [ticked()], expected_version=version)

    assert len(commits) == 5


@pytest.mark.parametrize(
    ("limits", "size", "expected"),
    [
        (GroupLimits(rows=1), 0, 12),  # commit-per-append
        (GroupLimits(rows=6), 0, 2),
        (GroupLimits(rows=5), 0, 3),
        (GroupLimits(bytes=4 * (256 + 1_011)), 1_000, 3),  # {"note":"…"} adds eleven
        (GroupLimits(bytes=4 * (256 + 1_011) - 1), 1_000, 4),
        (GroupLimits(bytes=1), 0, 12),
        (GroupLimits(), 0, 1),
    ],
)
async def test_a_group_is_bounded(
    database_url: str, clock: FakeClock, limits: GroupLimits, size: int, expected: int
) -> None:
    async with open_event_store(database_url, clock=clock, group=limits) as store:
        commits: list[int] = []
        async with busy(store):
            event.listen(store._engines.writer.sync_engine, "commit", lambda _: commits.append(1))
            tasks = [appending(store, f"s{n}", ticked(size)) for n in range(12)]
            await queued(store, 12)
        assert await settled(*tasks) == [1] * 12

    assert len(commits) == 1 + expected


async def test_an_append_larger_than_a_group_is_one_by_itself(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock, group=GroupLimits(rows=2, bytes=300)) as store:
        assert await store.append("a", [ticked(500) for _ in range(5)], expected_version=0) == 5


@pytest.mark.parametrize("name", ["rows", "bytes", "waiting", "waiting_bytes"])
def test_a_bound_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        GroupLimits(**{name: 0})


def test_a_group_of_more_streams_than_a_statement_takes_is_refused() -> None:
    assert GroupLimits(rows=8_192).rows == 8_192
    with pytest.raises(ValueError, match="rows"):
        GroupLimits(rows=8_193)


async def test_the_largest_group_is_one_commit(database_url: str, clock: FakeClock) -> None:
    limits = GroupLimits(rows=8_192, waiting=8_192)
    async with open_event_store(database_url, clock=clock, group=limits, busy_timeout=60) as store:
        async with busy(store):
            commits: list[int] = []
            event.listen(store._engines.writer.sync_engine, "commit", lambda _: commits.append(1))
            tasks = [appending(store, f"s{n}") for n in range(8_192)]
            await queued(store, 8_192)
        assert await settled(*tasks) == [1] * 8_192
    assert len(commits) == 2


@pytest.mark.parametrize(("streams_of_group", "places"), [(1, 2), (2, 4), (3, 8), (5, 16), (64, 128), (65, 256)])
def test_statements_are_of_few_sizes(streams_of_group: int, places: int) -> None:
    keys = [("public", f"s{n}") for n in range(streams_of_group)]

    found = _places([*keys, keys[0]])

    assert len(found) == places
    assert set(zip(found[::2], found[1::2], strict=True)) == set(keys)


@pytest.mark.parametrize("limits", [GroupLimits(waiting=3), GroupLimits(waiting_bytes=3 * (256 + 11))])
async def test_a_full_queue_refuses_at_the_door(database_url: str, clock: FakeClock, limits: GroupLimits) -> None:
    async with open_event_store(database_url, clock=clock, group=limits) as store:
        async with busy(store):
            waiting = [appending(store, f"s{n}") for n in range(3)]
            await queued(store, 3)

            with pytest.raises(EventStoreUnavailable, match="3 appends wait already") as caught:
                await store.append("late", [ticked()], expected_version=0)

        assert await settled(*waiting) == [1, 1, 1]
        assert (caught.value.attempted, caught.value.retryable) == (False, True)
        assert caught.value.retry_after is not None
        assert await store.append("late", [ticked()], expected_version=0) == 1, "there is room again"


async def test_a_caller_who_leaves_the_queue_is_withdrawn(sql_store: SqlEventStore) -> None:
    async with busy(sql_store):
        leaving, staying = appending(sql_store, "leaving"), appending(sql_store, "staying")
        await queued(sql_store, 2)
        leaving.cancel()

    assert [type(each) for each in await settled(leaving, staying)] == [asyncio.CancelledError, int]
    assert await streams(sql_store) == {"busy", "staying"}


@pytest.mark.parametrize("limits", [GroupLimits(waiting=3), GroupLimits(waiting_bytes=3 * (256 + 11))])
async def test_callers_who_leave_the_queue_make_room(database_url: str, clock: FakeClock, limits: GroupLimits) -> None:
    async with open_event_store(database_url, clock=clock, group=limits) as store:
        async with busy(store):
            leaving = [appending(store, f"s{n}") for n in range(3)]
            await queued(store, 3)
            for each in leaving[1:]:
                each.cancel()
            await settled(*leaving[1:])
            staying = appending(store, "staying")
            await queued(store, 2)

        assert await settled(leaving[0], staying) == [1, 1]


async def test_a_caller_who_leaves_a_group_under_way_changes_nothing(sql_store: SqlEventStore) -> None:
    gate = Gate()
    leaving = appending(sql_store, "leaving", also=gate)
    await gate.entered.wait()

    leaving.cancel()
    assert [type(each) for each in await settled(leaving)] == [asyncio.CancelledError]
    gate.open()
    await sql_store.append("next", [ticked()], expected_version=0)

    assert await streams(sql_store) == {"leaving", "next"}


async def test_whoever_waits_for_too_long_is_told_so(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock, busy_timeout=0.02) as store:
        async with busy(store):
            [refused] = await settled(appending(store, "a"))
            [later] = await settled(appending(store, "b"))  # the alarm is set again

        for outcome in (refused, later):
            assert isinstance(outcome, EventStoreUnavailable)
            assert "no turn came in time" in str(outcome)
            assert not outcome.attempted
        assert await streams(store) == {"busy"}


async def test_an_also_does_not_see_what_comes_to_its_stream_after_it(sql_store: SqlEventStore) -> None:
    seen: dict[int, int] = {}

    def looking(number: int) -> Callable[[AsyncConnection], Any]:
        async def also(connection: AsyncConnection) -> None:
            query = text("SELECT max(version) FROM events WHERE stream = 'a'")
            seen[number] = (await connection.execute(query)).scalar_one()

        return also

    async with busy(sql_store):
        tasks = [
            asyncio.create_task(
                sql_store.append("a", [ticked()], expected_version=n - 1, also=looking(n) if n in (1, 3, 4) else None)
            )
            for n in range(1, 6)
        ]
        await queued(sql_store, 5)

    assert await settled(*tasks) == [1, 2, 3, 4, 5]
    assert seen == {1: 1, 3: 3, 4: 4}


async def test_the_writer_works_in_nobodys_name(sql_store: SqlEventStore) -> None:
    tenants: list[str] = []
    sql_store.outbox.watch(lambda: tenants.append(current().tenant))

    with use_context(tenant="acme"):
        await sql_store.append("a", [ticked()], expected_version=0, messages=[outgoing("m")])

    assert tenants == ["public"]


async def test_watchers_are_told_once_a_group(sql_store: SqlEventStore) -> None:
    heard: list[int] = []
    async with busy(sql_store):
        tasks = [appending(sql_store, f"s{n}", messages=[outgoing(f"m{n}")]) for n in range(8)]
        await queued(sql_store, 8)
        sql_store.outbox.watch(lambda: heard.append(1))
    await settled(*tasks)

    assert heard == [1]


async def test_an_also_is_called_once_where_nothing_raises(sql_store: SqlEventStore) -> None:
    called: list[str] = []

    def noting(name: str) -> Callable[[AsyncConnection], Any]:
        async def also(_: AsyncConnection) -> None:
            called.append(name)

        return also

    async with busy(sql_store):
        tasks = [appending(sql_store, name, also=noting(name)) for name in "abc"]
        await queued(sql_store, 3)
    await settled(*tasks)

    assert called == ["a", "b", "c"]


async def test_a_stale_one_is_told_the_version_it_missed(sql_store: SqlEventStore) -> None:
    async with busy(sql_store):
        tasks = [appending(sql_store, "a", ticked(), ticked()), appending(sql_store, "a")]
        await queued(sql_store, 2)

    first, second = await settled(*tasks)

    assert first == 2
    assert isinstance(second, StaleVersion)
    assert second.details == {"stream": "a", "expected": 0, "actual": 2}
