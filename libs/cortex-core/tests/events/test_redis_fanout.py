"""Gaps in the messages, and how they are filled."""

from collections.abc import Callable

from cortex_core.events import MalformedEvent, Outcome
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import Heard, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"


async def test_a_gap_in_the_messages_is_filled_from_the_stream(
    bus: RedisEventBus, make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    heard = Heard()
    await bus.subscribe(["order"], heard)
    publisher = make_bus()

    for number in range(500):
        if number % 100 == 50:
            await eventually(lambda: redis_server.command("CLIENT", "KILL", "TYPE", "pubsub"))  # as soon as it is back
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
