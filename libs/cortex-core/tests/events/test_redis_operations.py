"""What operators meet on a real Redis: strange keys, letters nobody can read, replies that are lost, long streams."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from cortex_core.events import BusUnavailable, DeadLetterEmpty, DeadLetterNotFound
from cortex_core.events.redis import RedisEventBus, RedisLink
from cortex_core.events.redis.lags import Lags
from cortex_core.events.redis.link import Script, Word
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import QUICK, Heard, Impossible, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"
DEAD = "cortex:public:dead:counting"
AGAIN = "cortex:public:replay:counting:order"


async def test_strange_keys_beside_ours_are_passed_over(bus: RedisEventBus, redis_server: RedisServer) -> None:
    await bus.publish([order_event(0)])
    for key in (
        "cortex:a b:events:order",
        "cortex:public:dead:a b",
        "cortex:public:events",
        "cortex:\udcff:dead:x",
        "x",
    ):
        redis_server.command("XADD", key.encode(errors="replace").decode(), "*", "event", "?")
    redis_server.command("SET", "cortex:public:events:file", "not a stream")

    assert await bus.log.topics() == ["order"]
    assert await bus.log.lag() == []


async def test_a_letter_that_somebody_else_wrote_is_shown_as_far_as_it_can_be_read(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    redis_server.command("XADD", DEAD, "5-1", "colour", "red")
    redis_server.command("XADD", DEAD, "6-1", "event", "{}", "attempts", "many", "time", "late", "entry", "x y z")

    first, second = await bus.log.dead_letters("counting")

    assert (first.entry, first.raw, first.attempts, first.topic) == ("public/5-1", b'{"colour": "red"}', 0, "")
    assert first.time.timestamp() == 0.005
    assert (second.raw, second.event, second.code) == (b"{}", None, "")


async def test_a_dead_letter_without_its_event_cannot_be_replayed(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    redis_server.command("XADD", DEAD, "5-1", "event", "", "code", "event.trimmed")

    with pytest.raises(DeadLetterEmpty):
        await bus.log.replay_dead_letter("counting", "public/5-1")

    assert redis_server.command("XLEN", DEAD) == 1


class LosesOneReply(RedisLink):
    """A connection that fails right after Redis has done what it was asked: once."""

    lost = 0

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        reply = await super().run(script, keys, arguments)
        if not self.lost and keys[0] == DEAD:
            self.lost += 1
            raise BusUnavailable("the reply was lost")
        return reply


async def test_a_replay_whose_reply_was_lost_has_happened_once(
    bus: RedisEventBus, redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = Heard(ord_1=[Impossible("no")])
    await bus.consume("counting", ["order"], ill, QUICK)
    await bus.publish([order_event(0)])
    await eventually(lambda: redis_server.command("XLEN", DEAD))
    (letter,) = await bus.log.dead_letters("counting")
    monkeypatch.setattr(bus.log, "_link", link := LosesOneReply(redis_url, 1.5))

    with pytest.raises(BusUnavailable):
        await bus.log.replay_dead_letter("counting", letter.entry)
    with pytest.raises(DeadLetterNotFound):
        await bus.log.replay_dead_letter("counting", letter.entry)

    await eventually(lambda: ill.numbers == [0, 0])
    assert link.lost == 1
    assert (redis_server.command("XLEN", DEAD), redis_server.command("XLEN", AGAIN)) == (0, 1)
    await link.aclose()


async def test_what_waits_is_counted_over_several_pages_and_up_to_a_bound(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cortex_core.events.redis.lags.PAGE", 100)
    await bus.publish([order_event(number) for number in range(450)])
    redis_server.command("XGROUP", "CREATE", STREAM, "counting", "0")

    (lag,) = await bus.log.lag("counting")
    assert lag.topics[0].waiting == 450

    monkeypatch.setattr("cortex_core.events.redis.lags.COUNTED", 200)
    (lag,) = await bus.log.lag("counting")
    assert lag.topics[0].waiting == 200


async def test_what_was_replayed_and_not_taken_counts_as_waiting(bus: RedisEventBus, redis_server: RedisServer) -> None:
    heard = Heard()
    member = await bus.consume("counting", ["order"], heard)
    await bus.publish([order_event(number) for number in range(3)])
    await eventually(lambda: len(heard.events) == 3)
    await member.aclose()

    assert await bus.log.replay("order", "counting") == 3

    assert redis_server.command("XPENDING", STREAM, "counting")[0] == 0
    lags = {lag.tenant: (lag.topics[0].waiting, lag.topics[0].pending) for lag in await bus.log.lag("counting")}
    assert lags == {"acme": (0, 0), "public": (3, 0)}


@pytest.mark.parametrize(("own", "again"), [(2, 2), (2, 1), (1, 2), (0, 1)])
async def test_a_member_is_counted_once_though_it_reads_two_streams(
    bus: RedisEventBus, redis_server: RedisServer, own: int, again: int
) -> None:
    for stream, members in ((STREAM, own), (AGAIN, again)):
        redis_server.command("XGROUP", "CREATE", stream, "counting", "0", "MKSTREAM")
        for number in range(members):
            redis_server.command("XGROUP", "CREATECONSUMER", stream, "counting", f"member-{number}")

    (lag,) = await bus.log.lag("counting")

    assert [(topic.topic, topic.members) for topic in lag.topics] == [("order", max(own, again))]


async def test_a_page_of_one_tenant_ends_where_another_tenants_begins(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    for tenant in ("acme", "public"):
        for entry in ("5-1", "5-2", "6-1"):
            redis_server.command("XADD", f"cortex:{tenant}:dead:counting", entry, "event", "{}")

    seen, after = [], None
    while page := await bus.log.dead_letters("counting", after=after, limit=1):
        seen += [letter.entry for letter in page]
        after = page[-1].entry

    assert seen == ["acme/5-1", "public/5-1", "acme/5-2", "public/5-2", "acme/6-1", "public/6-1"]


async def test_less_than_one_dead_letter_cannot_be_asked_for(bus: RedisEventBus) -> None:
    with pytest.raises(ValueError, match="limit"):
        await bus.log.dead_letters("counting", limit=0)


async def test_the_log_of_a_closed_bus_is_closed(bus: RedisEventBus) -> None:
    await bus.aclose()

    for refused in (bus.log.topics(), bus.log.lag(), bus.log.dead_letters("counting"), bus.log.replay("order", "x")):
        with pytest.raises(BusUnavailable):
            await refused


async def test_a_tail_of_a_wiped_redis_shows_what_comes_then(bus: RedisEventBus, redis_server: RedisServer) -> None:
    await bus.publish([order_event(0)])
    async with aclosing(bus.log.tail(["order"], start="0")) as tail:
        assert (await anext(tail)).event is not None
        coming = asyncio.ensure_future(anext(tail))
        redis_server.flush()
        redis_server.command("XADD", STREAM, "5-1", "event", order_event(1).to_json().decode())

        entry = await asyncio.wait_for(coming, 30)

    assert entry.entry == "5-1"


class Seven:
    """What Redis 7 answers: it has counted what waits itself."""

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        return [10_000, [[b"counting", 2, 3, b"4000-0", b"6000-0", 123_456, b"", 500]]]

    async def batch(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        if commands[0][0] == "SCAN":
            return [[b"0", [STREAM.encode()]]]
        return [0 for _ in commands]


async def test_a_count_that_redis_keeps_itself_is_taken_as_it_is() -> None:
    from cortex_core.events.redis.catalogue import Catalogue
    from cortex_core.testing import FakeClock

    link: Any = Seven()
    (lag,) = await Lags(link, "cortex", ["public"], Catalogue(link, "cortex", FakeClock())).of("counting")

    (order,) = lag.topics
    assert (order.pending, order.members, order.seconds, order.idle) == (3, 2, 6.0, 0.5)
