"""Redis stopped, killed, hanging, wiped: what the bus on it makes of that."""

import asyncio
import signal
import time
from collections.abc import Callable

import pytest

from cortex_core.events import BusUnavailable
from cortex_core.events.redis import RedisEventBus
from cortex_core.events.redis.link import Refused
from cortex_core.testing import RedisServer, assert_bound, eventually, free_port
from cortex_core.testing.contracts.bus import QUICK, Heard, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"


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


@pytest.mark.bound
async def test_publishing_without_redis_fails_soon_and_may_be_tried_again() -> None:
    bus = RedisEventBus(f"redis://127.0.0.1:{free_port()}/0")

    started = time.monotonic()
    with pytest.raises(BusUnavailable) as raised:
        await bus.publish([order_event()])

    assert_bound(time.monotonic() - started, 1)
    assert (raised.value.code, raised.value.retryable) == ("bus.unavailable", True)
    with pytest.raises(BusUnavailable):
        await bus.check()
    await bus.aclose()


@pytest.mark.bound
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
        assert_bound(time.monotonic() - started, 2.5)
        started = time.monotonic()
        with pytest.raises(BusUnavailable):
            await bus.check()
        assert_bound(time.monotonic() - started, 1)
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


def _pending(server: RedisServer) -> int:
    return int(server.command("XPENDING", STREAM, "counting")[0])
