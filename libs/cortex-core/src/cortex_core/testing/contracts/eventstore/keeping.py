"""What was sent is kept, by batches, for as long as the bus may have to be repaired from it; and no longer."""

from datetime import timedelta

import pytest

from cortex_core.eventsourcing import Fence, Fenced
from cortex_core.testing.contracts.eventstore.terms import Store, TakeOver, ids_pending, message, placed
from cortex_core.testing.fake_clock import FakeClock

DAY = timedelta(days=1)


async def add(store: Store, *names: str) -> None:
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [message(name) for name in names])


async def kept(store: Store, after: int = -1) -> list[str]:
    found = await store.outbox.sent_after(after, 1_000)
    return [each.id for each in found.messages] if found else []


class KeepingContract:
    """See the module."""

    async def test_the_highest_batch_is_remembered(self, store: Store) -> None:
        assert await store.outbox.last_batch() == 0
        await add(store, "m1", "m2", "m3")

        await store.outbox.mark_sent(["m1"], 1_000_001)
        await store.outbox.mark_sent(["m2"], 2_000_007)
        await store.outbox.mark_sent(["never heard of"], 3_000_000)

        assert await store.outbox.last_batch() == 2_000_007

    async def test_a_message_sent_before_keeps_its_batch(self, store: Store) -> None:
        await add(store, "m1")
        await store.outbox.mark_sent(["m1"], 1)
        await store.outbox.mark_sent(["m1"], 9)

        assert await store.outbox.last_batch() == 1

    async def test_what_was_sent_can_be_had_again_in_the_order_it_was_sent(self, store: Store) -> None:
        await add(store, "m1", "m2", "m3", "m4", "m5")
        for batch, ids in enumerate((["m3"], ["m2", "m1"], ["m4"]), 1):
            await store.outbox.mark_sent(ids, batch)

        found = await store.outbox.sent_after(0, 10)

        assert found is not None
        assert ([each.id for each in found.messages], found.number) == (["m3", "m1", "m2", "m4"], 3)
        assert found.messages[0] == message("m3")
        assert await kept(store, after=2) == ["m4"]
        assert await store.outbox.sent_after(3, 10) is None

    @pytest.mark.parametrize(
        ("limit", "portions"),
        [
            (1, [["m1"], ["m2", "m3", "m4"], ["m5"], ["m6"]]),
            (2, [["m1"], ["m2", "m3", "m4"], ["m5", "m6"]]),
            (3, [["m1"], ["m2", "m3", "m4"], ["m5", "m6"]]),
            (4, [["m1", "m2", "m3", "m4"], ["m5", "m6"]]),
            (5, [["m1", "m2", "m3", "m4", "m5"], ["m6"]]),
            (6, [["m1", "m2", "m3", "m4", "m5", "m6"]]),
        ],
    )
    async def test_batches_come_whole_as_many_as_fit_and_at_least_one(
        self, store: Store, limit: int, portions: list[list[str]]
    ) -> None:
        await add(store, "m1", "m2", "m3", "m4", "m5", "m6")
        for batch, ids in ((3, ["m1"]), (5, ["m2", "m3", "m4"]), (7, ["m5"]), (9, ["m6"])):
            await store.outbox.mark_sent(ids, batch)

        had, after = [], 0
        while found := await store.outbox.sent_after(after, limit):
            had.append([each.id for each in found.messages])
            after = found.number

        assert (had, after) == (portions, 9)

    async def test_what_waits_is_no_repair(self, store: Store) -> None:
        await add(store, "m1", "m2")
        await store.outbox.mark_sent(["m2"], 1)

        assert await kept(store) == ["m2"]

    async def test_whoever_lost_the_lease_marks_nothing(self, store: Store, take_over: TakeOver) -> None:
        await add(store, "m1")
        await take_over("relay", 2)

        with pytest.raises(Fenced) as caught:
            await store.outbox.mark_sent(["m1"], 1_000_001, fence=Fence("relay", 1))

        assert caught.value.details["current_epoch"] == 2
        assert await ids_pending(store) == ["m1"]
        await store.outbox.mark_sent(["m1"], 2_000_001, fence=Fence("relay", 2))
        assert await ids_pending(store) == []

    async def test_the_oldest_that_waits_has_an_age(self, store: Store, clock: FakeClock) -> None:
        assert await store.outbox.oldest_pending() is None
        began = clock.now()
        await add(store, "m1")
        await clock.advance(5)
        await add(store, "m2")

        assert await store.outbox.oldest_pending() == began
        await store.outbox.mark_sent(["m1"], 1)
        assert await store.outbox.oldest_pending() == began + timedelta(seconds=5)
        await store.outbox.mark_sent(["m2"], 2)
        assert await store.outbox.oldest_pending() is None

    async def test_what_was_sent_long_ago_is_trimmed_the_oldest_first(self, store: Store, clock: FakeClock) -> None:
        await add(store, "m1", "m2", "m3", "m4")
        for batch, name in enumerate(("m1", "m2", "m3"), 1):
            await store.outbox.mark_sent([name], batch)
            await clock.advance(86_400)
        before = clock.now() - DAY  # m3 was sent at that very moment

        assert await store.outbox.trim(before, up_to=9, limit=1) == 1
        assert await kept(store) == ["m2", "m3"]
        assert await store.outbox.trim(before, up_to=9, limit=10) == 1
        assert await store.outbox.trim(before, up_to=9, limit=10) == 0
        assert await kept(store) == ["m3"]
        assert await ids_pending(store) == ["m4"]

    async def test_what_the_bus_may_have_lost_is_not_trimmed(self, store: Store, clock: FakeClock) -> None:
        await add(store, "m1", "m2")
        await store.outbox.mark_sent(["m1"], 1)
        await store.outbox.mark_sent(["m2"], 2)
        await clock.advance(86_400)

        assert await store.outbox.trim(clock.now(), up_to=1, limit=10) == 1
        assert await kept(store) == ["m2"]

    async def test_numbers_are_not_given_again_after_trimming(self, store: Store, clock: FakeClock) -> None:
        await add(store, "m1", "m2")
        [_, newest] = await store.outbox.pending(2)
        await store.outbox.mark_sent(["m1", "m2"], 1)
        await clock.advance(1)
        await store.outbox.trim(clock.now(), up_to=1, limit=10)

        await add(store, "m3")

        [message] = await store.outbox.pending(1)
        assert message.sequence > newest.sequence

    async def test_the_inbox_forgets_what_was_long_ago(self, store: Store, clock: FakeClock) -> None:
        async def first(event_id: str) -> bool:
            async with store.transaction() as transaction:
                return await store.inbox.once(transaction, "c", event_id)

        for name in ("e1", "e2", "e3"):
            assert await first(name)
            await clock.advance(60)
        before = clock.now() - timedelta(seconds=60)  # e3 came at that very moment

        assert await store.inbox.trim(before, limit=1) == 1
        assert await store.inbox.trim(before, limit=10) == 1
        assert await store.inbox.trim(before, limit=10) == 0

        assert not await first("e3")
        assert await first("e1") and await first("e2")

    async def test_a_batch_of_nothing_leaves_no_number(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0, messages=[message("m1")])

        await store.outbox.mark_sent([], 5)

        assert await store.outbox.last_batch() == 0
        assert await ids_pending(store) == ["m1"]
