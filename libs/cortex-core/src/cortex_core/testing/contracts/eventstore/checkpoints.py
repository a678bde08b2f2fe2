"""A checkpoint moves from where it is believed to be, or not at all; the store says when there is something to read."""

import asyncio
from typing import Any

import pytest

from cortex_core.eventsourcing import Checkpoint, Parked, Stage, StaleVersion
from cortex_core.kernel.context import use_context
from cortex_core.testing.contracts.eventstore.terms import Refused, Store, placed
from cortex_core.testing.fake_clock import FakeClock


async def begun(store: Store, *stages: Stage) -> list[Checkpoint]:
    async with store.transaction() as transaction:
        for generation, stage in enumerate(stages, 1):
            assert await store.checkpoints.begin(transaction, "list", generation, stage, logic=generation * 10)
    return await store.checkpoints.generations("list")


class CheckpointsContract:
    """See the module."""

    async def test_generations_are_what_was_begun(self, store: Store, clock: FakeClock) -> None:
        live, building = await begun(store, Stage.LIVE, Stage.BUILDING)

        assert live == Checkpoint("list", 1, Stage.LIVE, 0, 10, clock.now())
        assert building == Checkpoint("list", 2, Stage.BUILDING, 0, 20, clock.now())
        assert await store.checkpoints.generations("another") == []

    async def test_a_generation_is_begun_once(self, store: Store) -> None:
        [row] = await begun(store, Stage.LIVE)

        async with store.transaction() as transaction:
            assert not await store.checkpoints.begin(transaction, "list", 1, Stage.BUILDING, logic=5)

        assert await store.checkpoints.generations("list") == [row]

    async def test_a_checkpoint_moves_from_where_it_is(self, store: Store, clock: FakeClock) -> None:
        live, building = await begun(store, Stage.LIVE, Stage.BUILDING)
        await clock.advance(1)

        async with store.transaction() as transaction:
            assert await store.checkpoints.advance(transaction, live, 5)

        moved, other = await store.checkpoints.generations("list")
        assert (moved.position, moved.updated_at, other) == (5, clock.now(), building)

    async def test_a_checkpoint_does_not_move_from_where_it_was(self, store: Store) -> None:
        [row] = await begun(store, Stage.LIVE)
        async with store.transaction() as transaction:
            assert await store.checkpoints.advance(transaction, row, 5)

        async with store.transaction() as transaction:
            assert not await store.checkpoints.advance(transaction, row, 9)

        [moved] = await store.checkpoints.generations("list")
        assert moved.position == 5

    async def test_a_checkpoint_does_not_move_in_another_stage(self, store: Store) -> None:
        _, row = await begun(store, Stage.LIVE, Stage.BUILDING)
        async with store.transaction() as transaction:
            assert await store.checkpoints.turn(transaction, row, Stage.RETIRED)

        async with store.transaction() as transaction:
            assert not await store.checkpoints.advance(transaction, row, 9)
            assert not await store.checkpoints.turn(transaction, row, Stage.LIVE)

        assert [each.stage for each in await store.checkpoints.generations("list")] == [Stage.LIVE, Stage.RETIRED]

    async def test_what_a_transaction_does_is_seen_within_it_and_undone_with_it(self, store: Store) -> None:
        [row] = await begun(store, Stage.LIVE)

        with pytest.raises(Refused):
            async with store.transaction() as transaction:
                await store.checkpoints.advance(transaction, row, 5)
                await store.checkpoints.begin(transaction, "list", 2, Stage.BUILDING, logic=1)
                await store.checkpoints.park(transaction, parked("a"))
                seen = await store.checkpoints.locked(transaction, "list")
                assert [(each.generation, each.position) for each in seen] == [(1, 5), (2, 0)]
                raise Refused

        assert await store.checkpoints.generations("list") == [row]
        assert await store.checkpoints.parked("list", 1) == []

    async def test_of_many_movers_one_wins(self, store: Store) -> None:
        [row] = await begun(store, Stage.LIVE)

        async def move(position: int) -> bool:
            async with store.transaction() as transaction:
                return await store.checkpoints.advance(transaction, row, position)

        assert sum(await asyncio.gather(*(move(position) for position in range(1, 9)))) == 1

    async def test_of_many_that_begin_a_generation_one_does(self, store: Store) -> None:
        async def begin() -> bool:
            async with store.transaction() as transaction:
                return await store.checkpoints.begin(transaction, "list", 1, Stage.LIVE, logic=1)

        assert sum(await asyncio.gather(*(begin() for _ in range(8)))) == 1

    async def test_a_stream_is_parked_as_it_was_first(self, store: Store) -> None:
        first = parked("b", position=2)
        async with store.transaction() as transaction:
            for each in (first, parked("b", position=9), parked("a", position=3)):
                await store.checkpoints.park(transaction, each)
            await store.checkpoints.park(transaction, parked("a", generation=2))

        assert await store.checkpoints.parked("list", 1) == [first, parked("a", position=3)]

    async def test_what_is_forgotten_is_gone_with_all_it_parked(self, store: Store) -> None:
        await begun(store, Stage.LIVE, Stage.BUILDING)
        async with store.transaction() as transaction:
            for generation in (1, 2):
                await store.checkpoints.park(transaction, parked("a", generation=generation))

        async with store.transaction() as transaction:
            await store.checkpoints.forget(transaction, "list", 1)

        assert [each.generation for each in await store.checkpoints.generations("list")] == [2]
        assert await store.checkpoints.parked("list", 1) == []
        assert await store.checkpoints.parked("list", 2) == [parked("a", generation=2)]

    async def test_the_head_is_the_newest_event_s_position(self, store: Store) -> None:
        assert await store.head() == 0

        await store.append("a", [placed(1), placed(2)], expected_version=0)

        assert await store.head() == (await store.read_all())[-1].position

    async def test_watchers_hear_of_events_that_became_durable(self, store: Store) -> None:
        heard: list[asyncio.Task[int]] = []
        unwatch = store.watch(lambda: heard.append(asyncio.ensure_future(store.head())))

        await store.append("a", [placed()], expected_version=0)
        assert [await each for each in heard] == [await store.head()]

        with pytest.raises(StaleVersion):
            await store.append("a", [placed()], expected_version=0)
        await store.append("a", [], expected_version=1)
        assert len(heard) == 1

        unwatch()
        await store.append("a", [placed()], expected_version=1)
        assert len(heard) == 1

    async def test_a_corrupt_event_says_its_position(self, store: Store, spoil: Any) -> None:
        for tenant in ("acme", "public"):
            with use_context(tenant=tenant):
                await store.append(f"a-{tenant}", [placed(1), placed(2)], expected_version=0)
        last = (await store.read_all())[-1]
        await spoil("a-public", 2, "data", b"[]")

        with pytest.raises(Exception, match="corrupt") as caught:
            await store.read_all()

        assert getattr(caught.value, "position", None) == last.position


def parked(stream: str, *, generation: int = 1, position: int = 1) -> Parked:
    moment = FakeClock().now()
    return Parked("list", generation, "acme", stream, position, "order.illegal", "cannot be", moment)
