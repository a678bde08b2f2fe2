"""What one store cannot keep no store takes; and what is asked for beyond every number is not there."""

from typing import Any

import pytest

from cortex_core.eventsourcing import Message, NewEvent, StaleVersion, UnstorableEvent
from cortex_core.testing.contracts.eventstore.terms import Store, ids_pending, message, placed

UNSTORABLE = [
    pytest.param("a\0b", id="NUL"),
    pytest.param("a\ud800", id="lone surrogate"),
    pytest.param("x" * 513, id="too long"),
    pytest.param("é" * 257, id="too long in bytes"),
    pytest.param(None, id="none"),
]


class NamesContract:
    """See the module."""

    @pytest.mark.parametrize("name", UNSTORABLE)
    async def test_a_stream_that_cannot_be_is_not_appended_to_and_is_empty(self, store: Store, name: str) -> None:
        with pytest.raises(UnstorableEvent):
            await store.append(name, [placed()], expected_version=0, messages=[message("m")])

        assert await store.read(name) == []
        assert await store.read_all() == []
        assert await ids_pending(store) == []

    @pytest.mark.parametrize("name", UNSTORABLE)
    async def test_names_of_events_are_names_too(self, store: Store, name: str) -> None:
        for event in (NewEvent(name, {}), NewEvent("order.created", {}, id=name)):
            with pytest.raises(UnstorableEvent):
                await store.append("a", [placed(), event], expected_version=0)

        assert await store.read("a") == []

    @pytest.mark.parametrize("name", UNSTORABLE)
    async def test_names_of_messages_are_names_too(self, store: Store, name: str) -> None:
        for wrong in (Message(name, "t", "s", b""), Message("m", name, "s", b""), Message("m", "t", name, b"")):
            with pytest.raises(UnstorableEvent):
                await store.append("a", [placed()], expected_version=0, messages=[wrong])
            with pytest.raises(UnstorableEvent):
                async with store.transaction() as transaction:
                    await store.enqueue(transaction, [wrong])

        assert await store.read("a") == []
        assert await ids_pending(store) == []

    @pytest.mark.parametrize("name", UNSTORABLE)
    async def test_the_inbox_takes_no_other_names_either(self, store: Store, name: str) -> None:
        for consumer, event_id in ((name, "evt_1"), ("analytics", name)):
            with pytest.raises(UnstorableEvent):
                async with store.transaction() as transaction:
                    await store.inbox.once(transaction, consumer, event_id)

    async def test_the_longest_name_of_all_is_a_name(self, store: Store) -> None:
        longest = "é" * 256
        event = NewEvent(longest, {}, id=longest)

        await store.append(longest, [event], expected_version=0, messages=[Message(longest, longest, longest, b"{}")])
        async with store.transaction() as transaction:
            assert await store.inbox.once(transaction, longest, longest)

        [read] = await store.read(longest)
        assert (read.stream, read.type, read.id) == (longest, longest, longest)
        assert await ids_pending(store) == [longest]

    @pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**63, 2**80])
    async def test_numbers_beyond_every_other_are_not_there(self, store: Store, number: int) -> None:
        await store.append("a", [placed(1), placed(2)], expected_version=0)

        assert await store.read("a", after=number) == []
        assert await store.read_all(after=number) == []
        assert len(await store.read("a", limit=number)) == len(await store.read_all(limit=number)) == 2
        with pytest.raises(StaleVersion) as caught:
            await store.append("a", [placed(3)], expected_version=number)
        assert caught.value.details["actual"] == 2

    @pytest.mark.parametrize("number", [-1, -(2**31) - 1, -(2**80)])
    async def test_numbers_before_the_first_are_the_beginning(self, store: Store, number: int) -> None:
        await store.append("a", [placed(1), placed(2)], expected_version=0)

        assert len(await store.read("a", after=number)) == len(await store.read_all(after=number)) == 2
        with pytest.raises(StaleVersion):
            await store.append("a", [placed(3)], expected_version=number)

    async def test_positions_grow(self, store: Store) -> None:
        """As versions do within a stream, whatever was refused in between."""
        refused: Any = {"x": float("nan")}
        for version in range(5):
            await store.append(f"s{version % 2}", [placed(version), placed(version)], expected_version=version // 2 * 2)
            with pytest.raises(UnstorableEvent):
                await store.append("s0", [NewEvent("x", refused)], expected_version=version)
            with pytest.raises(StaleVersion):
                await store.append("s0", [placed()], expected_version=99)

        positions = [each.position for each in await store.read_all()]

        assert positions == sorted(set(positions)) and len(positions) == 10
        for stream in ("s0", "s1"):
            of_stream = [each.position for each in await store.read(stream)]
            assert of_stream == sorted(of_stream)
