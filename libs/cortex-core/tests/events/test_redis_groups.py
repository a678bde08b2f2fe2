"""Consumers that die, stall or lose a reply, and what should not be in a stream."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cortex_core.events import BusUnavailable, ConsumerPolicy, Outcome
from cortex_core.events.redis import RedisEventBus, RedisLink
from cortex_core.events.redis.bus import StreamBus
from cortex_core.events.redis.link import Script, Word
from cortex_core.events.redis.scripts import BURY, LEAVE
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import QUICK, Down, Heard, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"


async def test_what_a_killed_consumer_had_begun_another_takes_over(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    await bus.publish([order_event(number) for number in range(3)])
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HANGS, redis_server.url, stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert await victim.stdout.readline() == b"0\n"
    victim.kill()
    await victim.wait()
    assert _pending(redis_server) == 3

    heard = Heard(ord_1=[Down("so that the number of the attempt is told")])
    await bus.consume("counting", ["order"], heard, QUICK)

    await eventually(lambda: len(heard.events) == 4)
    assert heard.numbers == [0, 0, 1, 2]
    assert [details.attempt for details in hooks.deliveries] == [2, 3, 2, 2]


_HANGS = """
import asyncio, sys
from cortex_core.events.redis import RedisEventBus

async def main():
    async def hangs(event):
        print(event.data["number"], flush=True)
        await asyncio.Event().wait()

    await RedisEventBus(sys.argv[1]).consume("counting", ["order"], hangs)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_attempts_are_counted_on_by_the_next_member(
    bus: RedisEventBus, make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    fails = Heard(ord_1=[Down("come back in a minute", retry_after=60)])
    first = make_bus(hooks=hooks)
    await first.consume("counting", ["order"], fails, ConsumerPolicy(max_backoff=60))
    await bus.publish([order_event(0)])
    await eventually(lambda: hooks.outcomes() == [Outcome.RETRIED])
    await first.aclose()

    heard = Heard()
    await bus.consume("counting", ["order"], heard, QUICK)

    await eventually(lambda: len(hooks.deliveries) == 2)
    assert [details.attempt for details in hooks.deliveries] == [1, 2]


async def test_an_event_that_kills_its_consumers_becomes_a_dead_letter(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    await bus.publish([order_event(0)])
    redis_server.command("XGROUP", "CREATE", STREAM, "counting", "0")
    redis_server.command("XREADGROUP", "GROUP", "counting", "victim", "STREAMS", STREAM, ">")
    ((entry, _),) = redis_server.command("XRANGE", STREAM, "-", "+")
    redis_server.command(
        "XCLAIM", STREAM, "counting", "victim", "0", entry, "RETRYCOUNT", str(QUICK.attempts), "JUSTID"
    )

    heard = Heard()
    await bus.consume("counting", ["order"], heard, QUICK)

    await eventually(lambda: _dead_letters(redis_server) == 1)
    (letter,) = await bus.dead_letters("counting")
    assert (letter.code, letter.attempts) == ("event.abandoned", QUICK.attempts)
    assert heard.events == []


async def test_a_member_at_work_for_longer_than_the_claim_keeps_its_entries(
    bus: RedisEventBus, make_bus: MakeBus, redis_server: RedisServer
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    slowly: list[int] = []

    async def slow(event: object) -> None:
        begun.set()
        await may_end.wait()
        slowly.append(1)

    quickly = Heard()
    policy = ConsumerPolicy(claim_after=60)  # both ask every 2 s
    await bus.consume("counting", ["order"], slow, policy)
    await bus.publish([order_event(number) for number in range(3)])
    await begun.wait()
    await make_bus().consume("counting", ["order"], quickly, policy)

    for _ in range(2):
        asked = _calls(redis_server, "xautoclaim")
        _make_idle(redis_server, seconds=40)
        await eventually(lambda: max(_idle_seconds(redis_server)) < 40)  # a word from the first: they are its own
        await eventually(lambda: _calls(redis_server, "xautoclaim") >= asked + 4)  # noqa: B023 - two streams each
    may_end.set()

    await eventually(lambda: len(slowly) == 3)
    assert quickly.events == []


async def test_a_fetch_whose_reply_was_lost_is_found_again(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.consume("counting", ["order"], heard, ConsumerPolicy(claim_after=3))
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)
    (name,) = _consumers(redis_server)

    redis_server.transaction(
        ("XADD", STREAM, "*", "event", order_event(1).to_json().decode()),
        ("XREADGROUP", "GROUP", "counting", name, "STREAMS", STREAM, ">"),
    )

    await eventually(lambda: len(heard.events) == 2)
    assert heard.numbers == [0, 1]


async def test_what_is_no_event_is_kept_as_a_dead_letter(bus: RedisEventBus, redis_server: RedisServer) -> None:
    heard = Heard()
    await bus.consume("counting", ["order"], heard, QUICK)
    strange = order_event(tenant="acme").to_json().decode()

    redis_server.command("XADD", STREAM, "*", "event", "{not json")
    redis_server.command("XADD", STREAM, "*", "colour", "red")
    redis_server.command("XADD", STREAM, "*", "event", "[" * 100_000)
    redis_server.command("XADD", STREAM, "*", "event", strange)
    await bus.publish([order_event(1)])

    await eventually(lambda: heard.events)
    await eventually(lambda: _dead_letters(redis_server) == 4)
    letters = await bus.dead_letters("counting")
    assert {letter.code for letter in letters} == {"event.malformed"}
    assert [letter.event for letter in letters[:3]] == [None] * 3
    assert [letter.raw for letter in letters[:2]] == [b"{not json", b'{"colour": "red"}']
    assert "acme" in letters[3].reason
    assert heard.numbers == [1]


async def test_an_entry_trimmed_before_it_was_handled_is_seen_as_lost(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    await bus.publish([order_event(0)])
    redis_server.command("XGROUP", "CREATE", STREAM, "counting", "0")
    redis_server.command("XREADGROUP", "GROUP", "counting", "victim", "STREAMS", STREAM, ">")
    redis_server.command("XTRIM", STREAM, "MAXLEN", "0")

    await bus.consume("counting", ["order"], Heard(), QUICK)

    await eventually(lambda: _dead_letters(redis_server) == 1)
    (letter,) = await bus.dead_letters("counting")
    assert (letter.code, letter.event, letter.raw) == ("event.trimmed", None, b"")
    assert hooks.outcomes() == [Outcome.DEAD]
    await eventually(lambda: _pending(redis_server) == 0)


async def test_the_streams_length_is_bounded(make_bus: MakeBus, redis_server: RedisServer) -> None:
    bus = make_bus(max_length=100)

    for _ in range(5):
        await bus.publish([order_event(number) for number in range(200)])

    assert 100 <= redis_server.command("XLEN", STREAM) <= 300


def stream_bus(link: RedisLink, hooks: RecordingHooks) -> StreamBus:
    return StreamBus(
        link,
        namespace="cortex",
        consumer="one",
        tenants=["public"],
        clock=None,
        hooks=hooks,
        max_length=1000,
        drain=1.0,
    )


class LosesOneReply(RedisLink):
    """A connection that fails right after Redis has done what the script says: once."""

    def __init__(self, url: str, script: Script) -> None:
        super().__init__(url, timeout=1.5)
        self.script: Script | None = script

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        reply = await super().run(script, keys, arguments)
        if script is self.script:
            self.script = None
            raise BusUnavailable("the reply was lost")
        return reply


async def test_a_dead_letter_whose_reply_was_lost_is_written_once(
    redis_url: str, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    bus = stream_bus(LosesOneReply(redis_url, BURY), hooks)
    await bus.consume("counting", ["order"], Heard(ord_1=[RuntimeError("no")]), QUICK)
    await bus.publish([order_event(0)])

    await eventually(lambda: any(details.work == "settle counting" for details in hooks.errors))
    await bus.aclose()
    assert _dead_letters(redis_server) == 1
    assert _pending(redis_server) == 0


async def test_half_a_character_in_an_error_is_no_obstacle_to_the_dead_letters(
    make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    bus = make_bus(hooks=hooks)
    heard = Heard(ord_1=[RuntimeError("no \ud800 " + "ü" * 3_000)], ord_2=[RuntimeError("neither")])
    await bus.consume("counting", ["order"], heard, QUICK)
    await bus.publish([order_event(0), order_event(1, subject="ord_2")])

    await eventually(lambda: _dead_letters(redis_server) == 2)

    first, second = await bus.dead_letters("counting")
    assert first.reason == ("RuntimeError: no ? " + "ü" * 3_000)[:2_000]
    assert second.reason == "RuntimeError: neither"
    assert hooks.errors == []


class LeavesBadly(RedisLink):
    """Fails at the last word of a member, in a way that nobody has thought of."""

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        if script is LEAVE:
            raise RuntimeError("not thought of")
        return await super().run(script, keys, arguments)


async def test_a_member_that_fails_in_leaving_is_gone_with_its_connection(
    redis_url: str, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    before = _connections(redis_server)
    bus, heard = stream_bus(LeavesBadly(redis_url, timeout=1.5), hooks), Heard()
    await bus.consume("counting", ["order"], heard, QUICK)
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)

    await bus.aclose()

    assert bus.subscriber_count() == 0
    assert [(details.work, str(details.error)) for details in hooks.errors] == [("leave counting", "not thought of")]
    await eventually(lambda: _connections(redis_server) == before)


def _connections(server: RedisServer) -> int:
    return len(server.command("CLIENT", "LIST").splitlines())


def _pending(server: RedisServer) -> int:
    return int(server.command("XPENDING", STREAM, "counting")[0])


def _make_idle(server: RedisServer, *, seconds: int) -> None:
    """As if nobody had said for so long whose these entries are."""
    for entry, consumer, _, _ in server.command("XPENDING", STREAM, "counting", "-", "+", "10"):
        idle = ("IDLE", str(seconds * 1000), "JUSTID")
        server.command("XCLAIM", STREAM, "counting", consumer, "0", entry, *idle)


def _idle_seconds(server: RedisServer) -> list[float]:
    return [idle / 1000 for _, _, idle, _ in server.command("XPENDING", STREAM, "counting", "-", "+", "10")]


def _dead_letters(server: RedisServer) -> int:
    return int(server.command("XLEN", "cortex:public:dead:counting"))


def _consumers(server: RedisServer) -> list[str]:
    return [about[1] for about in server.command("XINFO", "CONSUMERS", STREAM, "counting")]


def _calls(server: RedisServer, command: str) -> int:
    return sum(map(int, re.findall(rf"cmdstat_{command}:calls=(\d+)", server.command("INFO", "commandstats"))))
