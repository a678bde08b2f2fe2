"""Fail-over: a replica with an older tail takes over; the old master refuses; the bus goes on without being told."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cortex_core.events import BusUnavailable, CloudEvent, Marker
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import DRAIN, QUICK, Heard, RecordingHooks, order_event

from .failing_over import Pair, pair

STREAM = "cortex:public:events:order"


@pytest.fixture
async def redis() -> AsyncIterator[Pair]:
    async with pair() as both:
        yield both


@pytest.fixture
async def bus(redis: Pair, hooks: RecordingHooks) -> AsyncIterator[RedisEventBus]:
    bus = RedisEventBus(redis.url, hooks=hooks, drain=DRAIN)
    yield bus
    await bus.aclose()


async def published(publish: Callable[[], Awaitable[None]]) -> int:
    """How often it was refused before it was taken, each time in a way that asks for another try."""
    refusals = 0

    async def attempt() -> bool:
        nonlocal refusals
        try:
            await publish()
        except BusUnavailable as error:
            assert error.retryable
            refusals += 1
            return False
        return True

    await eventually(attempt)
    return refusals


async def test_after_a_fail_over_to_an_older_tail_all_that_is_published_then_is_heard(
    redis: Pair, bus: RedisEventBus
) -> None:
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed, QUICK)
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(number) for number in range(10)], marker=Marker("outbox", 1))
    await eventually(lambda: len(consumed.events) == len(heard.events) == 10)
    await redis.caught_up()
    redis.detach()
    await bus.publish([order_event(number) for number in range(10, 20)], marker=Marker("outbox", 2))
    await eventually(lambda: len(consumed.events) == len(heard.events) == 20)

    redis.point_to_replica()
    redis.cut()
    assert redis.replica.command("XLEN", STREAM) == 10, "nothing was lost: this fail-over shows nothing"
    await published(lambda: bus.publish([order_event(number) for number in range(20, 30)]))

    await eventually(lambda: {*range(20, 30)} <= {*consumed.numbers} and {*range(20, 30)} <= {*heard.numbers})
    assert heard.numbers == list(range(30))
    assert [number for number in consumed.numbers if number >= 20] == list(range(20, 30))
    assert await bus.marker("outbox") == 1


async def test_ids_that_go_backwards_are_heard(redis: Pair, bus: RedisEventBus, hooks: RecordingHooks) -> None:
    """The new master's clock is behind: its entries lie between what both have and what was lost."""
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed, QUICK)
    await bus.subscribe(["order"], heard)
    await eventually(lambda: redis.master.command("EXISTS", STREAM))
    _add(redis.master, "1000-0", order_event(0))
    await eventually(lambda: consumed.events)
    await redis.caught_up()
    redis.detach()
    _add(redis.master, "9000-0", order_event(1))
    await bus.publish([order_event(2)])
    await eventually(lambda: len(consumed.events) == len(heard.events) == 3)

    redis.point_to_replica()
    redis.cut()
    _add(redis.replica, "5000-0", order_event(3))

    await eventually(lambda: len(heard.events) == 4 and 3 in consumed.numbers)
    assert heard.numbers == [0, 1, 2, 3]
    _add(redis.replica, "6000-0", order_event(4), publish="5000-0")  # and while it is connected
    await eventually(lambda: len(heard.events) == 5 and 4 in consumed.numbers)
    assert heard.numbers == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("common", [True, False])
async def test_a_stream_that_goes_back_while_it_is_heard_is_noticed(
    redis_server: RedisServer, redis_url: str, hooks: RecordingHooks, common: bool
) -> None:
    bus = RedisEventBus(redis_url, drain=DRAIN, hooks=hooks)
    heard = Heard()
    await bus.subscribe(["order"], heard)
    _add(redis_server, "1000-0", order_event(0), publish="0-0")
    _add(redis_server, "9000-0", order_event(1), publish="1000-0")
    await eventually(lambda: heard.numbers == [0, 1])

    redis_server.command("DEL", STREAM)
    if common:
        _add(redis_server, "1000-0", order_event(0))
    _add(redis_server, "5000-0", order_event(2), publish="1000-0" if common else "0-0")

    await eventually(lambda: heard.numbers == [0, 1, 2])
    assert any("not the one that was heard" in str(details.error) for details in hooks.errors)
    await bus.aclose()


async def test_an_old_master_that_has_become_a_replica_is_left(
    redis: Pair, bus: RedisEventBus, hooks: RecordingHooks
) -> None:
    consumed, heard = Heard(), Heard()
    await bus.consume("counting", ["order"], consumed, QUICK)
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: consumed.events and heard.events)
    await redis.caught_up()

    redis.detach()
    redis.point_to_replica()
    redis.master.command("REPLICAOF", "127.0.0.1", str(redis.replica.port))  # every connection to it stays open
    refusals = await published(lambda: bus.publish([order_event(1)]))

    assert refusals > 0, "no write was ever refused"
    await eventually(lambda: 1 in consumed.numbers and 1 in heard.numbers)
    assert heard.numbers == [0, 1]
    assert redis.replica.command("XLEN", STREAM) == 2


async def test_verdicts_and_questions_leave_an_old_master_too(redis: Pair, bus: RedisEventBus) -> None:
    await bus.publish([order_event(0)])
    assert await bus.log.topics() == ["order"]
    await redis.caught_up()
    redis.detach()
    redis.point_to_replica()
    redis.master.command("REPLICAOF", "127.0.0.1", str(redis.replica.port))

    with pytest.raises(BusUnavailable, match="READONLY"):
        await bus.log.drop_dead_letter("counting", "public/1-1")

    dialled = redis.dialled
    redis.replica.command("XADD", "cortex:public:dead:counting", "1-1", "event", "{}")
    await bus.log.drop_dead_letter("counting", "public/1-1")
    assert redis.dialled > dialled


async def test_a_group_that_stands_beyond_its_streams_end_begins_anew(
    redis_server: RedisServer, redis_url: str
) -> None:
    bus = RedisEventBus(redis_url, drain=DRAIN)
    heard = Heard()
    _add(redis_server, "5-1", order_event(0))
    redis_server.command("XGROUP", "CREATE", STREAM, "counting", "9999999999999-0")

    await bus.consume("counting", ["order"], heard, QUICK)

    await eventually(lambda: heard.numbers == [0])
    await bus.aclose()


async def test_a_subscriber_that_is_far_behind_its_messages_does_not_take_them_for_another_history(
    redis_server: RedisServer, redis_url: str, hooks: RecordingHooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cortex_core.events.redis.seen.REMEMBERED", 20)
    bus = RedisEventBus(redis_url, drain=DRAIN, hooks=hooks)
    heard = Heard()
    await bus.subscribe(["order"], heard)
    await bus.publish([order_event(0)])
    for number in range(1, 100):
        redis_server.command("XADD", STREAM, "*", "event", order_event(number).to_json().decode())

    await bus.publish([order_event(number) for number in range(100, 200)])

    await eventually(lambda: len(heard.events) == 200)
    assert heard.numbers == list(range(200))
    assert hooks.errors == []
    await bus.aclose()


def _add(server: RedisServer, entry: str, event: CloudEvent, *, publish: str = "") -> None:
    text = event.to_json().decode()
    server.command("XADD", STREAM, entry, "event", text)
    if publish:
        server.command("PUBLISH", STREAM, f"{entry} {publish} {text}")
