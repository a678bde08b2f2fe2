"""The bus on Redis: the contract, and what only Redis has."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cortex_core.events import BusUnavailable, ConsumerPolicy, EventBus, MalformedEvent, Outcome
from cortex_core.events.redis import RedisEventBus, RedisLink
from cortex_core.events.redis.bus import StreamBus
from cortex_core.events.redis.link import Refused, Script, Word
from cortex_core.events.redis.scripts import BURY
from cortex_core.testing import RedisServer, eventually, free_port
from cortex_core.testing.contracts.bus import QUICK, Down, EventBusContract, Heard, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"


class TestRedisEventBus(EventBusContract):
    @pytest.fixture
    def elsewhere(self, make_bus: MakeBus, hooks: RecordingHooks) -> EventBus:
        return make_bus(hooks=hooks)


# --- Redis away -------------------------------------------------------------------------------------------------------


async def test_consumers_and_subscribers_go_on_after_redis_was_stopped_and_started(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed)
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: consumed.events and heard.events)

    redis_server.stop()
    await eventually(lambda: {details.work for details in hooks.errors} >= {"consume counting", "subscribe"})
    with pytest.raises(BusUnavailable):
        await bus.publish([order_event(99)])
    redis_server.start()
    await bus.publish([order_event(1)])

    await eventually(lambda: len(consumed.events) == len(heard.events) == 2)
    assert consumed.numbers == heard.numbers == [0, 1]


async def test_nothing_acknowledged_is_lost_when_redis_is_killed_again_and_again(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed)
    await bus.subscribe(["order"], heard)
    published: list[int] = []
    refusals = 0

    for number in range(300):
        if number in (50, 150, 250):
            redis_server.stop(kill=True)
            asyncio.get_running_loop().call_later(0.05, redis_server.start)
        while True:
            try:
                await bus.publish([order_event(number)])
                published.append(number)
                break
            except BusUnavailable:
                refusals += 1
                await asyncio.sleep(0.01)

    await eventually(lambda: consumed.numbers and consumed.numbers[-1] == heard.numbers[-1] == 299, within=15)
    assert refusals > 0
    assert set(consumed.numbers) == set(heard.numbers) == set(published) == set(range(300))
    assert list(dict.fromkeys(heard.numbers)) == sorted(set(heard.numbers))


async def test_a_verdict_given_while_redis_is_away_reaches_it_later(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    at_work, may_end = asyncio.Event(), asyncio.Event()
    handled: list[int] = []

    async def handle(event: object) -> None:
        at_work.set()
        await may_end.wait()
        handled.append(1)

    await bus.consume("counting", ["order"], handle)
    await bus.publish([order_event(0)])
    await at_work.wait()

    redis_server.stop()
    may_end.set()
    await eventually(lambda: any(details.work == "settle counting" for details in hooks.errors))
    redis_server.start()

    await eventually(lambda: _pending(redis_server) == 0)
    assert handled == [1]


async def test_a_bus_made_while_redis_is_away_works_once_it_is_there(
    redis_server: RedisServer, bus: RedisEventBus
) -> None:
    redis_server.stop()
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed)
    await bus.subscribe(["order"], heard)

    redis_server.start()
    await eventually(lambda: redis_server.command("PUBSUB", "CHANNELS"))
    await bus.publish([order_event(0)])

    await eventually(lambda: consumed.events and heard.events)


async def test_publishing_without_redis_fails_soon_and_may_be_tried_again() -> None:
    bus = RedisEventBus(f"redis://127.0.0.1:{free_port()}/0")

    started = time.monotonic()
    with pytest.raises(BusUnavailable) as raised:
        await bus.publish([order_event()])

    assert time.monotonic() - started < 1
    assert (raised.value.code, raised.value.retryable) == ("bus.unavailable", True)
    with pytest.raises(BusUnavailable):
        await bus.check()
    await bus.aclose()


async def test_publishing_to_a_redis_that_hangs_fails_in_time_and_heals(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    await bus.check()
    assert redis_server.pid is not None
    redis_server.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(BusUnavailable):
            await bus.publish([order_event()])
        assert time.monotonic() - started < 2.5
        started = time.monotonic()
        with pytest.raises(BusUnavailable):
            await bus.check()
        assert time.monotonic() - started < 1.0
    finally:
        redis_server.send_signal(signal.SIGCONT)

    await bus.check()


async def test_groups_are_made_again_after_a_wipe(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed, QUICK)
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: consumed.events and heard.events)

    redis_server.flush()
    await bus.publish([order_event(1)])

    await eventually(lambda: len(consumed.events) == len(heard.events) == 2)
    assert consumed.numbers == heard.numbers == [0, 1]
    assert any(isinstance(details.error, Refused) for details in hooks.errors)


async def test_a_wipe_while_away_leaves_a_subscriber_hearing_all_that_is_new(
    bus: RedisEventBus, make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)

    redis_server.stop()
    redis_server.start()
    redis_server.flush()
    # as a wiped server with its clock put back would have it: ids below those that were seen
    redis_server.command("XADD", STREAM, "5-1", "event", order_event(1).to_json().decode())

    await eventually(lambda: len(heard.events) == 2)
    assert heard.numbers == [0, 1]


# --- consumers that die -----------------------------------------------------------------------------------------------


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
    policy = ConsumerPolicy(claim_after=0.2)
    await bus.consume("counting", ["order"], slow, policy)
    await bus.publish([order_event(number) for number in range(3)])
    await begun.wait()
    await make_bus().consume("counting", ["order"], quickly, policy)

    asked = _calls(redis_server, "xautoclaim")
    await eventually(lambda: _calls(redis_server, "xautoclaim") > asked + 24)  # every 67 ms, by two members: 0.8 s
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


# --- what should not be in a stream -----------------------------------------------------------------------------------


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


# --- fan-out ----------------------------------------------------------------------------------------------------------


async def test_a_gap_in_the_messages_is_filled_from_the_stream(
    bus: RedisEventBus, make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)
    publisher = make_bus()

    for number in range(500):
        if number % 100 == 50:
            redis_server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await publisher.publish([order_event(number)])

    await eventually(lambda: len(heard.events) == 500)
    assert heard.numbers == list(range(500))
    assert sum(details.work == "subscribe" for details in hooks.errors) >= 3, "no connection was ever lost"
    assert sum(gap.filled for gap in hooks.gaps) > 0, "no message was ever missed"
    assert not any(gap.lost for gap in hooks.gaps)


async def test_a_message_that_never_came_is_filled_in_without_a_reconnection(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])

    for number in (1, 2):  # in the stream, but on no channel
        redis_server.command("XADD", STREAM, "*", "event", order_event(number).to_json().decode())
    await bus.publish([order_event(3)])

    await eventually(lambda: len(heard.events) == 4)
    assert heard.numbers == [0, 1, 2, 3]
    assert [(gap.filled, gap.lost) for gap in hooks.gaps] == [(2, False)]
    assert hooks.errors == []


async def test_a_gap_that_the_stream_cannot_fill_is_told(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)

    redis_server.command("XADD", STREAM, "*", "event", order_event(1).to_json().decode())
    redis_server.command("XTRIM", STREAM, "MAXLEN", "0")
    await bus.publish([order_event(2)])

    await eventually(lambda: len(heard.events) == 2)
    assert heard.numbers == [0, 2]
    assert [(gap.filled, gap.lost) for gap in hooks.gaps] == [(0, True)]


async def test_a_stranger_on_the_channel_is_told_and_passed_over(
    bus: RedisEventBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)

    redis_server.command("PUBLISH", STREAM, "hello")
    await bus.publish([order_event(0)])

    await eventually(lambda: heard.events)
    assert hooks.outcomes() == [Outcome.FAILED, Outcome.DELIVERED]
    assert isinstance(hooks.deliveries[0].error, MalformedEvent)


# --- keys and scripts -------------------------------------------------------------------------------------------------


async def test_namespaces_and_tenants_have_keys_of_their_own(make_bus: MakeBus, redis_server: RedisServer) -> None:
    ours, theirs = make_bus(namespace="one"), make_bus(namespace="two")
    acme_only = make_bus(namespace="one", tenants=["acme"])
    heard = {"ours": Heard(), "theirs": Heard(), "acme": Heard()}
    for bus, (group, handler) in zip((ours, theirs, acme_only), heard.items(), strict=True):
        await bus.consume(group, ["order"], handler)
        await bus.subscribe(["order"], handler)

    await ours.publish([order_event(0), order_event(1, tenant="acme")])

    await eventually(lambda: len(heard["ours"].events) == 4 and len(heard["acme"].events) == 2)
    assert sorted(heard["ours"].numbers) == [0, 0, 1, 1]
    assert heard["acme"].numbers == [1, 1]
    assert heard["theirs"].events == []
    for key in ("one:public:events:order", "one:acme:events:order"):
        assert redis_server.command("XLEN", key) == 1


async def test_publishing_goes_on_when_the_server_has_forgotten_the_script(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    await bus.publish([order_event(0)])
    redis_server.command("SCRIPT", "FLUSH")

    await bus.publish([order_event(1)])

    assert redis_server.command("XLEN", STREAM) == 2


async def test_a_member_that_leaves_leaves_no_name_behind(bus: RedisEventBus, redis_server: RedisServer) -> None:
    heard = Heard()
    member = await bus.consume("counting", ["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)
    assert len(_consumers(redis_server)) == 1

    await member.aclose()

    assert _consumers(redis_server) == []


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
    link = LosesOneReply(redis_url, BURY)
    bus = StreamBus(
        link,
        namespace="cortex",
        consumer="one",
        tenants=["public"],
        clock=None,
        hooks=hooks,
        max_length=1000,
        drain=1.0,
    )
    await bus.consume("counting", ["order"], Heard(ord_1=[RuntimeError("no")]), QUICK)
    await bus.publish([order_event(0)])

    await eventually(lambda: any(details.work == "settle counting" for details in hooks.errors))
    await bus.aclose()
    assert _dead_letters(redis_server) == 1
    assert _pending(redis_server) == 0


def _pending(server: RedisServer) -> int:
    return int(server.command("XPENDING", STREAM, "counting")[0])


def _dead_letters(server: RedisServer) -> int:
    return int(server.command("XLEN", "cortex:public:dead:counting"))


def _consumers(server: RedisServer) -> list[str]:
    return [about[1] for about in server.command("XINFO", "CONSUMERS", STREAM, "counting")]


def _calls(server: RedisServer, command: str) -> int:
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", server.command("INFO", "commandstats"))
    return int(found[1]) if found else 0
