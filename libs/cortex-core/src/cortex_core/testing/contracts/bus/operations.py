"""What every bus must let an operator see of its log, and do with it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from cortex_core.events import EventBus, GroupLag, GroupNotFound, LogEntry, MalformedEvent, MalformedPlace
from cortex_core.testing.contracts.bus.letters import DeadLetterContract
from cortex_core.testing.contracts.bus.tools import QUICK, Heard, Impossible, dead, order_event
from cortex_core.testing.waiting import eventually


class EventLogContract(DeadLetterContract):
    """Lag, replay, tail."""

    async def test_the_topics_are_those_that_were_published(self, bus: EventBus) -> None:
        await bus.publish([order_event(0), order_event(1, type="file.stored", tenant="acme")])

        assert await bus.log.topics() == ["file", "order"]

    async def test_a_group_that_has_handled_everything_is_not_behind(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        await bus.publish([order_event(number) for number in range(5)])
        await eventually(lambda: len(heard.events) == 5)

        await eventually(lambda: _caught_up(bus, "counting"))

    async def test_what_a_group_has_not_handled_is_counted_and_its_age_told(self, bus: EventBus) -> None:
        at_work, may_end = asyncio.Event(), asyncio.Event()

        async def is_slow(_: object) -> None:
            at_work.set()
            await may_end.wait()

        await bus.publish([order_event(number) for number in range(20)])
        await bus.consume("slow", ["order"], is_slow, QUICK)
        await at_work.wait()

        (lag,) = await _nonempty(bus, "slow")
        (order,) = lag.topics
        assert (lag.group, lag.tenant, lag.dead_letters) == ("slow", "public", 0)
        assert (order.topic, order.entries, order.members) == ("order", 20, 1)
        assert order.pending > 0
        assert 0 < order.seconds < 60
        assert order.idle is not None and order.idle < 60
        may_end.set()

    async def test_a_group_that_nobody_is_a_member_of_is_still_behind(self, bus: EventBus) -> None:
        member = await bus.consume("gone", ["order"], Heard())
        await bus.publish([order_event(0)])
        await eventually(lambda: _caught_up(bus, "gone"))
        await member.aclose()
        await bus.publish([order_event(number) for number in range(3)])

        (lag,) = await _nonempty(bus, "gone")
        assert (lag.topics[0].entries, lag.topics[0].members, lag.topics[0].idle) == (3, 0, None)

    async def test_lag_tells_tenants_groups_and_their_dead_letters_apart(self, bus: EventBus) -> None:
        ill = Heard(ord_1=[Impossible("no")])
        await bus.consume("ill", ["order"], ill, QUICK)
        await bus.consume("well", ["order"], Heard())
        await bus.publish([order_event(0, tenant="acme")])
        await eventually(lambda: dead(bus, "ill", 1))

        lags = {(lag.tenant, lag.group): lag.dead_letters for lag in await bus.log.lag()}
        assert lags["acme", "ill"] == 1
        assert lags.get(("public", "ill"), 0) == lags.get(("acme", "well"), 0) == 0
        assert {lag.group for lag in await bus.log.lag("ill")} == {"ill"}
        assert await bus.log.lag("nobody") == []

    async def test_a_stream_is_replayed_to_one_group_beside_live_traffic(self, bus: EventBus) -> None:
        counting, other, live = Heard(), Heard(), Heard()
        await bus.consume("counting", ["order"], counting)
        await bus.consume("other", ["order"], other)
        await bus.subscribe(["order"], live)
        await bus.publish([order_event(number, tenant=("public", "acme")[number % 2]) for number in range(120)])
        await eventually(lambda: len(counting.events) == len(other.events) == 120)

        replayed, _ = await asyncio.gather(
            bus.log.replay("order", "counting"), bus.publish([order_event(number) for number in range(120, 140)])
        )

        assert 120 <= replayed <= 140
        await eventually(lambda: len(counting.events) == 140 + replayed)
        await eventually(lambda: len(other.events) == len(live.events) == 140)
        again = counting.events[120:]
        for tenant in ("public", "acme"):
            old = [event.data["number"] for event in again if event.tenant == tenant and event.data["number"] < 120]
            assert old == sorted(old)

    async def test_a_replay_is_bounded_by_entries_and_by_moments(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        for number in range(5):
            await bus.publish([order_event(number)])
            await asyncio.sleep(0.005)  # so that each has a millisecond of its own
        await eventually(lambda: len(heard.events) == 5)
        entries = await _first(bus.log.tail(["order"], start="0"), 5)

        assert await bus.log.replay("order", "counting", start=entries[1].entry, end=entries[3].entry) == 3
        await eventually(lambda: len(heard.events) == 8)
        assert heard.numbers[5:] == [1, 2, 3]
        assert await bus.log.replay("order", "counting", start=entries[2].time, end=entries[2].time) == 1
        await eventually(lambda: len(heard.events) == 9)
        assert heard.numbers[8:] == [2]
        assert await bus.log.replay("order", "counting", start=datetime.now(UTC) + timedelta(hours=1)) == 0

    @pytest.mark.parametrize(("topic", "group"), [("order", "nobody"), ("nothing", "counting")])
    async def test_a_replay_to_a_group_that_does_not_hear_the_topic_is_refused(
        self, bus: EventBus, topic: str, group: str
    ) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        await bus.publish([order_event(0)])
        await eventually(lambda: heard.events)

        with pytest.raises(GroupNotFound):
            await bus.log.replay(topic, group)

    @pytest.mark.parametrize("place", ["", "x", "-1", "1-", "1-2-3", "9" * 99, datetime(2026, 1, 1)])  # noqa: DTZ001 - without an offset: that is the point
    async def test_what_is_no_place_in_a_log_is_refused(self, bus: EventBus, place: str | datetime) -> None:
        await bus.consume("counting", ["order"], Heard())
        await bus.publish([order_event(0)])
        with pytest.raises(MalformedPlace):
            await bus.log.replay("order", "counting", start=place)
        with pytest.raises(MalformedPlace):
            await bus.log.replay("order", "counting", end=place)
        with pytest.raises(MalformedPlace):
            await _first(bus.log.tail(["order"], start=place), 1)

    async def test_a_forgotten_group_has_no_claim_any_more(self, bus: EventBus) -> None:
        member = await bus.consume("gone", ["order"], Heard())
        await eventually(lambda: _known(bus, "gone", "order"))
        await member.aclose()
        await bus.publish([order_event(0)])

        await bus.log.forget_group("gone", "order")

        assert await _entries(bus, "gone") == 0
        with pytest.raises(GroupNotFound):
            await bus.log.forget_group("gone", "order")

    async def test_a_tail_shows_what_is_there_and_what_comes_and_takes_nothing(self, bus: EventBus) -> None:
        await bus.publish([order_event(0), order_event(1, type="file.stored", tenant="acme")])
        tail = bus.log.tail(["order", "file"], start="0")
        async with aclosing(tail):
            seen = [await anext(tail), await anext(tail)]
            coming = asyncio.ensure_future(anext(tail))
            await bus.publish([order_event(2)])
            seen.append(await asyncio.wait_for(coming, 5))

        assert sorted(entry.event.data["number"] for entry in seen if entry.event) == [0, 1, 2]
        assert sorted((entry.tenant, entry.topic) for entry in seen[:2]) == [("acme", "file"), ("public", "order")]
        assert abs(datetime.now(UTC) - seen[2].time) < timedelta(minutes=1)
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        await eventually(lambda: heard.numbers == [0, 2])

    async def test_a_tail_without_a_start_shows_only_what_comes(self, bus: EventBus) -> None:
        await bus.publish([order_event(0)])
        tail = bus.log.tail(["order"])
        async with aclosing(tail):
            coming = asyncio.ensure_future(anext(tail))
            publishing = asyncio.create_task(_publish_until(bus, coming))
            entry = await asyncio.wait_for(coming, 5)
            await publishing

        assert entry.event is not None and entry.event.data["number"] == 1

    async def test_a_tail_of_what_is_no_topic_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(MalformedEvent, match="topic"):
            await _first(bus.log.tail(["order:x"]), 1)

    async def test_a_group_or_topic_whose_name_makes_no_key_is_refused(self, bus: EventBus) -> None:
        log, entry = bus.log, "public/1-0"
        asked: list[tuple[str, Awaitable[object]]] = [
            ("group", log.lag("a:b")),
            ("group", log.dead_letters("a:b")),
            ("group", log.dead_letter("a:b", entry)),
            ("group", log.replay_dead_letter("a:b", entry)),
            ("group", log.drop_dead_letter("a:b", entry)),
            ("group", log.replay("order", "a:b")),
            ("topic", log.replay("a:b", "counting")),
            ("group", log.forget_group("a:b", "order")),
            ("topic", log.forget_group("counting", "a:b")),
        ]

        for what, asking in asked:
            with pytest.raises(MalformedEvent, match=what):
                await asking


async def _publish_until(bus: EventBus, done: "asyncio.Future[LogEntry]") -> None:
    """Again and again: when a tail has begun cannot be seen from outside."""
    while not done.done():
        await bus.publish([order_event(1)])
        await asyncio.sleep(0.01)


async def _first(tail: AsyncGenerator[LogEntry, None], count: int) -> list[LogEntry]:
    async with aclosing(tail):
        return [await asyncio.wait_for(anext(tail), 5) for _ in range(count)]


async def _entries(bus: EventBus, group: str) -> int:
    return sum(topic.entries for lag in await bus.log.lag(group) for topic in lag.topics)


async def _known(bus: EventBus, group: str, topic: str) -> bool:
    try:
        await bus.log.replay(topic, group)
    except GroupNotFound:
        return False
    return True


async def _nonempty(bus: EventBus, group: str) -> list[GroupLag]:
    """Leaves out the tenants in which the group has nothing to do."""
    return [lag for lag in await bus.log.lag(group) if any(topic.entries for topic in lag.topics)]


async def _caught_up(bus: EventBus, group: str) -> bool:
    return await _entries(bus, group) == 0
