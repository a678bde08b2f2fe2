"""A writer that was replaced cannot write, whether it knows or not."""

import asyncio

import pytest

from cortex_core.eventsourcing import Fence, Fenced, StaleVersion
from cortex_core.kernel.context import use_context
from cortex_core.kernel.errors import Kind
from cortex_core.testing import eventually
from cortex_core.testing.contracts.eventstore.terms import Refused, Store, TakeOver, ids_pending, message, placed


class FencingContract:
    """See the module."""

    async def test_the_holder_of_a_lease_writes(self, store: Store, take_over: TakeOver) -> None:
        await take_over("shard-1", 7)

        assert await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 7)) == 1
        assert await store.append("a", [placed()], expected_version=1, fence=Fence("shard-1", 7)) == 2

    async def test_whoever_was_replaced_is_refused(self, store: Store, take_over: TakeOver) -> None:
        await take_over("shard-1", 7)

        with pytest.raises(Fenced) as caught:
            await store.append("a", [placed()], expected_version=0, messages=[message("m")], fence=Fence("shard-1", 6))

        assert (caught.value.code, caught.value.kind) == ("event-store.fenced", Kind.CONFLICT)
        assert not caught.value.retryable
        assert caught.value.details == {"stream": "a", "lease": "shard-1", "epoch": 6, "current_epoch": 7}
        assert await store.read("a") == []
        assert await ids_pending(store) == []

    async def test_control_without_a_fence_the_same_writer_writes(self, store: Store, take_over: TakeOver) -> None:
        await take_over("shard-1", 7)

        assert await store.append("a", [placed()], expected_version=0) == 1

    async def test_a_lease_that_never_was_fences_nobody(self, store: Store) -> None:
        assert await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 1)) == 1

    async def test_a_lease_of_another_name_or_tenant_fences_nobody(self, store: Store, take_over: TakeOver) -> None:
        await take_over("shard-2", 9)
        with use_context(tenant="globex"):
            await take_over("shard-1", 9)

        assert await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 1)) == 1

    async def test_a_stream_remembers_its_highest_epoch(self, store: Store) -> None:
        """The lease may have been renamed, or its row restored from an old copy: the rows still know."""
        await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 7))
        await store.append("a", [placed()], expected_version=1)  # unfenced, which does not open it again

        with pytest.raises(Fenced) as caught:
            await store.append("a", [placed()], expected_version=2, fence=Fence("shard-1", 6))
        assert caught.value.details["current_epoch"] == 7

        assert await store.append("b", [placed()], expected_version=0, fence=Fence("shard-1", 6)) == 1
        assert await store.append("a", [placed()], expected_version=2, fence=Fence("shard-1", 7)) == 3

    async def test_of_several_epochs_of_a_stream_the_last_counts(self, store: Store) -> None:
        for version, epoch in enumerate((3, 5, 9)):
            await store.append("a", [placed()], expected_version=version, fence=Fence("shard-1", epoch))

        with pytest.raises(Fenced):
            await store.append("a", [placed()], expected_version=3, fence=Fence("shard-1", 8))

    async def test_an_epoch_counts_from_the_append_before_on(self, store: Store) -> None:
        """Also where both came at once, and the first has not been told yet."""
        outcomes = await asyncio.gather(
            store.append("other", [placed()], expected_version=0),
            store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 7)),
            store.append("a", [placed()], expected_version=1, fence=Fence("shard-1", 6)),
            return_exceptions=True,
        )

        assert [type(each) for each in outcomes] == [int, int, Fenced]

    async def test_a_stream_of_another_tenant_fences_nobody(self, store: Store) -> None:
        with use_context(tenant="globex"):
            await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 7))

        assert await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 6)) == 1

    async def test_being_replaced_weighs_more_than_being_slow(self, store: Store, take_over: TakeOver) -> None:
        await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 1))
        await take_over("shard-1", 2)

        with pytest.raises(Fenced):
            await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 1))
        with pytest.raises(StaleVersion):
            await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 2))

    async def test_what_was_undone_closes_nothing(self, store: Store) -> None:
        async def also(_: object) -> None:
            raise Refused

        with pytest.raises(Refused):
            await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 7), also=also)

        assert await store.append("a", [placed()], expected_version=0, fence=Fence("shard-1", 6)) == 1

    async def test_a_take_over_lets_no_write_of_the_old_holder_follow(self, store: Store, take_over: TakeOver) -> None:
        """Many writers of epoch 1, a take-over in their midst: whatever is written after it has returned is refused."""
        written: list[int] = []
        await take_over("shard-1", 1)

        async def writer(number: int) -> None:
            for version in range(10_000):
                await store.append(f"s{number}", [placed()], expected_version=version, fence=Fence("shard-1", 1))
                written.append(number)
                await asyncio.sleep(0)  # for the others, and for the take-over

        writers = asyncio.gather(*(writer(number) for number in range(8)), return_exceptions=True)
        await eventually(lambda: len(written) >= 8)
        await take_over("shard-1", 2)
        events_then = len(await store.read_all())

        outcomes = await writers

        assert [type(each) for each in outcomes] == [Fenced] * 8
        assert len(await store.read_all()) == events_then
