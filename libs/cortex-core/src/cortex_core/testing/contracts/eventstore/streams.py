"""A stream is what was appended to it, in order, and nothing of anybody else's."""

from typing import Any

import pytest

from cortex_core.eventsourcing import CorruptEvent, NewEvent
from cortex_core.kernel.context import TraceContext, use_context
from cortex_core.kernel.errors import Kind
from cortex_core.kernel.principal import Principal
from cortex_core.testing.contracts.eventstore.terms import Spoil, Store, placed
from cortex_core.testing.fake_clock import FakeClock


class StreamsContract:
    """See the module."""

    async def test_what_was_appended_is_read_in_order(self, store: Store) -> None:
        assert await store.append("a", [placed(1), placed(2)], expected_version=0) == 2
        assert await store.append("a", [placed(3)], expected_version=2) == 3

        read = await store.read("a")

        assert [(each.version, each.data["number"]) for each in read] == [(1, 1), (2, 2), (3, 3)]

    async def test_an_event_keeps_all_that_it_was(self, store: Store, clock: FakeClock) -> None:
        trace = TraceContext.new()
        event = NewEvent("order.created", {"total": 2500}, schema_version=3, id="evt_1")

        with use_context(tenant="acme", trace=trace, principal=Principal("usr_1"), request_id="req_1"):
            await store.append("ord_1", [event], expected_version=0)
            [read] = await store.read("ord_1")

        assert (read.id, read.type, read.schema_version, read.data) == ("evt_1", "order.created", 3, {"total": 2500})
        assert (read.tenant, read.stream, read.version, read.time) == ("acme", "ord_1", 1, clock.now())
        assert read.metadata == {"traceparent": trace.traceparent, "principal": "usr_1", "request_id": "req_1"}

    async def test_metadata_says_nothing_that_is_not_known(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0)

        [read] = await store.read("a")

        assert read.metadata == {}

    async def test_a_stream_that_never_was_is_empty(self, store: Store) -> None:
        await store.append("a", [placed()], expected_version=0)

        assert await store.read("b") == []

    async def test_reading_can_begin_and_end_in_the_middle(self, store: Store) -> None:
        await store.append("a", [placed(n) for n in range(1, 7)], expected_version=0)

        assert [each.version for each in await store.read("a", after=2, limit=3)] == [3, 4, 5]
        assert [each.version for each in await store.read("a", after=4)] == [5, 6]
        assert await store.read("a", after=6) == []

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"": None, "nested": {"list": [1, 2.5, True, None, [], {}]}},
            {"text": 'naïve 🦑 \x00 \u2028 "quoted" \\'},
            {"great": 2**80, "small": 5e-324, "negative": -0.0},
        ],
    )
    async def test_data_comes_back_as_json_has_it(self, store: Store, data: dict[str, Any]) -> None:
        await store.append("a", [NewEvent("x", data)], expected_version=0)

        [read] = await store.read("a")

        assert read.data == data

    async def test_what_was_stored_no_longer_follows_the_caller(self, store: Store) -> None:
        data = {"items": [1]}
        await store.append("a", [NewEvent("x", data)], expected_version=0)

        data["items"].append(2)
        (await store.read("a"))[0].data["items"].append(3)

        assert (await store.read("a"))[0].data == {"items": [1]}

    async def test_the_whole_store_is_read_in_order_page_by_page(self, store: Store) -> None:
        for number in range(1, 6):
            with use_context(tenant=f"tenant{number % 2}"):
                await store.append(f"s{number}", [placed(number), placed(number)], expected_version=0)

        seen, after = [], 0
        while page := await store.read_all(after=after, limit=3):
            seen += page
            after = page[-1].position

        positions = [each.position for each in seen]
        assert [(each.stream, each.version) for each in seen] == [(f"s{n}", v) for n in range(1, 6) for v in (1, 2)]
        assert {each.tenant for each in seen} == {"tenant0", "tenant1"}
        assert positions == sorted(set(positions))

    async def test_tenants_do_not_meet(self, store: Store) -> None:
        with use_context(tenant="acme"):
            await store.append("a", [placed(1)], expected_version=0)
        with use_context(tenant="globex"):
            assert await store.read("a") == []
            await store.append("a", [placed(2)], expected_version=0)

        with use_context(tenant="acme"):
            assert [each.data["number"] for each in await store.read("a")] == [1]

    async def test_a_store_that_is_well_says_so(self, store: Store) -> None:
        await store.check()

    @pytest.mark.parametrize("column", ["data", "metadata"])
    @pytest.mark.parametrize("content", [b'{"number":', b"[1]", b'{"x":"\xff"}'])
    async def test_a_corrupt_event_is_named_and_stands_alone(
        self, store: Store, spoil: Spoil, column: str, content: bytes
    ) -> None:
        await store.append("a", [placed(1), placed(2)], expected_version=0)
        await store.append("b", [placed(3)], expected_version=0)
        await spoil("a", 2, column, content)

        with pytest.raises(CorruptEvent) as caught:
            await store.read("a")
        with pytest.raises(CorruptEvent):
            await store.read_all()

        assert caught.value.details == {"tenant": "public", "stream": "a", "version": 2}
        assert (caught.value.code, caught.value.kind) == ("event-store.corrupt-event", Kind.INTERNAL)
        assert [each.version for each in await store.read("a", limit=1)] == [1]
        assert [each.data["number"] for each in await store.read("b")] == [3]
