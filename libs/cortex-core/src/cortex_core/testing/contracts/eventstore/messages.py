"""What goes out waits in order until it is sent; what comes in has its effect once."""

import asyncio

import pytest

from cortex_core.eventsourcing import Message, StaleVersion
from cortex_core.kernel.context import use_context
from cortex_core.testing.contracts.eventstore.terms import Refused, Store, ids_pending, message, placed


class MessagesContract:
    """See the module."""

    async def test_messages_wait_in_the_order_they_were_written(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0, messages=[message("m2"), message("m1")])
        async with store.transaction() as transaction:
            await store.enqueue(transaction, [message("m0")])

        assert await ids_pending(store) == ["m2", "m1", "m0"]
        assert [each.id for each in await store.outbox.pending(2)] == ["m2", "m1"]
        assert await store.outbox.count_pending() == 3

    async def test_a_message_comes_out_as_it_went_in(self, store: Store) -> None:
        sent = Message("m", "order", "ord_1", b'{"a":"\xc3\xa9"}\x00\xff')

        await store.append("a", [placed()], expected_version=0, messages=[sent])

        assert await store.outbox.pending(1) == [sent]

    async def test_the_store_numbers_messages_in_the_order_they_were_written(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0, messages=[message("m2"), message("m1")])
        await store.append("b", [placed()], expected_version=0, messages=[message("m0")])

        numbers = [each.sequence for each in await store.outbox.pending(3)]

        assert numbers == sorted(set(numbers)) and numbers[0] >= 1

    async def test_messages_of_every_tenant_wait_in_one_line(self, store: Store) -> None:
        for tenant in ("acme", "globex"):
            with use_context(tenant=tenant):
                await store.append("a", [placed()], expected_version=0, messages=[message(tenant)])

        assert await ids_pending(store) == ["acme", "globex"]

    async def test_what_was_sent_no_longer_waits(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0, messages=[message(f"m{n}") for n in range(4)])

        await store.outbox.mark_sent(["m0", "m2"])
        await store.outbox.mark_sent(["m2", "never heard of"])
        await store.outbox.mark_sent([])

        assert await ids_pending(store) == ["m1", "m3"]
        assert await store.outbox.count_pending() == 2

    async def test_watchers_hear_of_messages_that_became_durable(self, store: Store) -> None:
        heard: list[int] = []
        pending_at_call: list[asyncio.Task[int]] = []

        def on_added() -> None:
            heard.append(1)
            pending_at_call.append(asyncio.ensure_future(store.outbox.count_pending()))

        unwatch = store.outbox.watch(on_added)
        await store.append("a", [placed()], expected_version=0, messages=[message("m")])
        assert (len(heard), await pending_at_call[0]) == (1, 1)

        with pytest.raises(StaleVersion):
            await store.append("a", [placed()], expected_version=0, messages=[message("n")])
        await store.append("b", [placed()], expected_version=0)
        assert len(heard) == 1

        async with store.transaction() as transaction:
            await store.enqueue(transaction, [message("o")])
        assert len(heard) == 2

        unwatch()
        await store.append("c", [placed()], expected_version=0, messages=[message("p")])
        assert len(heard) == 2
        await asyncio.gather(*pending_at_call)

    async def test_once_is_once_for_each_consumer_and_tenant(self, store: Store) -> None:
        async def first(tenant: str, consumer: str, event_id: str) -> bool:
            with use_context(tenant=tenant):
                async with store.transaction() as transaction:
                    return await store.inbox.once(transaction, consumer, event_id)

        assert await first("acme", "analytics", "evt_1")
        assert not await first("acme", "analytics", "evt_1")
        assert await first("acme", "storage", "evt_1")
        assert await first("globex", "analytics", "evt_1")
        assert await first("acme", "analytics", "evt_2")

    async def test_once_holds_within_one_transaction(self, store: Store) -> None:
        async with store.transaction() as transaction:
            assert await store.inbox.once(transaction, "c", "evt_1")
            assert not await store.inbox.once(transaction, "c", "evt_1")

    async def test_an_effect_undone_is_not_remembered(self, store: Store) -> None:
        with pytest.raises(Refused):
            async with store.transaction() as transaction:
                assert await store.inbox.once(transaction, "c", "evt_1")
                raise Refused

        async with store.transaction() as transaction:
            assert await store.inbox.once(transaction, "c", "evt_1")

    async def test_of_many_at_once_one_is_the_first(self, store: Store) -> None:
        async def first() -> bool:
            async with store.transaction() as transaction:
                return await store.inbox.once(transaction, "c", "evt_1")

        assert sum(await asyncio.gather(*(first() for _ in range(16)))) == 1
