"""A decision stands if nobody was faster, and then as a whole."""

import asyncio
import contextlib
import math
from collections import Counter
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    DuplicateId,
    EventTooLarge,
    NewEvent,
    StaleVersion,
    UnstorableEvent,
)
from cortex_core.kernel.errors import Kind
from cortex_core.testing.contracts.eventstore.terms import Refused, Store, ids_pending, message, placed


class DecisionsContract:
    """See the module."""

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    async def test_the_expected_version_decides(self, store: Store, expected: int) -> None:
        await store.append("a", [placed(1), placed(2)], expected_version=0)

        with pytest.raises(StaleVersion) as caught:
            await store.append("a", [placed(9)], expected_version=expected, messages=[message("m")])

        assert caught.value.details == {"stream": "a", "expected": expected, "actual": 2}
        assert (caught.value.kind, caught.value.retryable) == (Kind.CONFLICT, False)
        assert len(await store.read("a")) == 2
        assert await ids_pending(store) == []

    async def test_no_event_is_a_decision_too(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0)

        assert await store.append("a", [], expected_version=1, messages=[message("m")]) == 1
        with pytest.raises(StaleVersion):
            await store.append("a", [], expected_version=0)

        assert await ids_pending(store) == ["m"]

    async def test_of_32_writers_on_one_stream_each_version_has_one_winner(self, store: Store) -> None:
        wins: list[tuple[int, int]] = []
        stale = Counter[int]()

        async def writer(number: int) -> None:
            while True:
                version = len(await store.read("a"))
                await asyncio.sleep(0)  # a decision takes its time: the others read what we read
                try:
                    won = await store.append("a", [placed(number)], expected_version=version)
                except StaleVersion:
                    stale[number] += 1
                else:
                    wins.append((won, number))
                    return

        await asyncio.gather(*(writer(number) for number in range(32)))

        read = await store.read("a")
        assert [each.version for each in read] == list(range(1, 33))
        assert sorted(wins) == [(each.version, each.data["number"]) for each in read]
        assert stale.total() > 0, "the writers never met"

    async def test_a_decision_that_takes_its_time_is_one_decision(self, store: Store) -> None:
        async def also(_: Any) -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        outcomes = await asyncio.gather(
            *(store.append("a", [placed(n)], expected_version=0, also=also) for n in range(4)), return_exceptions=True
        )

        assert Counter(map(type, outcomes)) == {int: 1, StaleVersion: 3}
        assert len(await store.read("a")) == 1

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param({"x": math.nan}, id="not a number"),
            pytest.param({"x": "\ud800"}, id="lone surrogate"),
            pytest.param({"x": object()}, id="an object"),
            pytest.param([1], id="not a mapping"),
        ],
    )
    async def test_data_that_json_cannot_say_is_refused(self, store: Store, data: Any) -> None:
        with pytest.raises(UnstorableEvent) as caught:
            await store.append("a", [placed(), NewEvent("order.created", data)], expected_version=0)

        assert caught.value.details == {"type": "order.created"}
        assert await store.read("a") == []

    @pytest.mark.parametrize("version", [0, -1, 2**31, 2**70, 1.0, True, "1", None])
    async def test_a_schema_version_that_is_none_is_refused(self, store: Store, version: Any) -> None:
        with pytest.raises(UnstorableEvent) as caught:
            await store.append("a", [placed(), NewEvent("order.created", {}, version)], expected_version=0)

        assert caught.value.details == {"type": "order.created"}
        assert await store.read("a") == []

    async def test_schema_versions_come_out_as_they_went_in(self, store: Store) -> None:
        events = [NewEvent("order.created", {}, version) for version in (1, 2**31 - 1)]

        await store.append("a", events, expected_version=0)

        assert [each.schema_version for each in await store.read("a")] == [1, 2**31 - 1]

    @pytest.mark.parametrize("payload", ["text", None, 7, bytearray(b"x"), [1]])
    async def test_a_payload_that_is_no_bytes_is_refused(self, store: Store, payload: Any) -> None:
        with pytest.raises(UnstorableEvent) as caught:
            await store.append("a", [placed()], expected_version=0, messages=[message("m", payload)])
        with pytest.raises(UnstorableEvent):
            async with store.transaction() as transaction:
                await store.enqueue(transaction, [message("m", payload)])

        assert caught.value.details == {"id": "m"}
        assert (await store.read("a"), await ids_pending(store)) == ([], [])

    async def test_an_event_has_a_size_limit_in_bytes(self, store: Store) -> None:
        fits = "é" * ((1024 * 1024 - len('{"x":""}')) // 2)

        assert await store.append("a", [NewEvent("x", {"x": fits})], expected_version=0) == 1
        with pytest.raises(EventTooLarge) as caught:
            await store.append("a", [NewEvent("x", {"x": fits + "é"})], expected_version=1)

        assert caught.value.details == {"type": "x", "size": 1024 * 1024 + 2, "limit": 1024 * 1024}
        assert caught.value.kind is Kind.TOO_LARGE
        assert len(await store.read("a")) == 1

    async def test_a_message_has_a_size_limit(self, store: Store) -> None:
        """The bus's: one that no bus takes would hold up all behind it."""
        await store.append("a", [placed()], expected_version=0, messages=[message("fits", b"x" * 256 * 1024)])

        with pytest.raises(EventTooLarge):
            await store.append("a", [placed()], expected_version=1, messages=[message("big", b"x" * (256 * 1024 + 1))])

        assert len(await store.read("a")) == 1
        assert await ids_pending(store) == ["fits"]

    async def test_ids_are_unique_for_all_time(self, store: Store) -> None:
        event, sent = placed(), message("m")
        await store.append("a", [event], expected_version=0, messages=[sent])
        await store.outbox.mark_sent(["m"])

        for stream, events, messages in (("b", [placed(), event], []), ("b", [placed()], [message("n"), sent])):
            with pytest.raises(DuplicateId):
                await store.append(stream, events, expected_version=0, messages=messages)

        assert await store.read("b") == []
        assert await ids_pending(store) == []

    async def test_an_id_given_twice_at_once_is_refused(self, store: Store) -> None:
        event, twin = placed(), message("m")

        with pytest.raises(DuplicateId):
            await store.append("a", [event, event], expected_version=0)
        with pytest.raises(DuplicateId):
            await store.append("a", [placed()], expected_version=0, messages=[twin, twin])

        assert await store.read("a") == []

    async def test_what_also_raises_undoes_everything(self, store: Store) -> None:
        async def also(transaction: Any) -> None:
            assert await store.inbox.once(transaction, "c", "evt_1")
            await store.enqueue(transaction, [message("from also")])
            raise Refused

        with pytest.raises(Refused):
            await store.append("a", [placed()], expected_version=0, messages=[message("m")], also=also)

        assert await store.read("a") == []
        assert await ids_pending(store) == []
        async with store.transaction() as transaction:
            assert await store.inbox.once(transaction, "c", "evt_1")

    async def test_what_also_does_is_true_together_with_the_events(self, store: Store) -> None:
        async def also(transaction: Any) -> None:
            assert await store.inbox.once(transaction, "c", "evt_1")
            await store.enqueue(transaction, [message("second")])

        await store.append("a", [placed()], expected_version=0, messages=[message("first")], also=also)

        assert await ids_pending(store) == ["first", "second"]
        async with store.transaction() as transaction:
            assert not await store.inbox.once(transaction, "c", "evt_1")

    async def test_a_transaction_that_raises_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(Refused):
            async with store.transaction() as transaction:
                await store.enqueue(transaction, [message("m")])
                raise Refused

        assert await ids_pending(store) == []

    async def test_a_caller_who_leaves_takes_no_one_along(self, store: Store) -> None:
        """Cancelled at any moment, an append is whole or absent, and the next writer finds the store free."""
        for number in range(12):
            leaving = asyncio.create_task(
                store.append(f"s{number}", [placed(1), placed(2)], expected_version=0, messages=[message(f"m{number}")])
            )
            for _ in range(number * 3):
                await asyncio.sleep(0)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving

            await asyncio.wait_for(store.append("other", [placed()], expected_version=number), 5)

        for number in range(12):
            whole = len(await store.read(f"s{number}"))
            assert whole in (0, 2)
            assert (f"m{number}" in await ids_pending(store)) == (whole == 2)
