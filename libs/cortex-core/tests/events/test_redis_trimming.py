"""Streams trimmed by age, and what keeps entries from it; and by length, the last resort."""

import time
from collections.abc import Callable
from typing import cast

import pytest

from cortex_core.events import Retention, Strain
from cortex_core.events.redis import RedisEventBus
from cortex_core.events.redis.trimming import Trimmer
from cortex_core.testing import FakeClock, RedisServer, eventually
from cortex_core.testing.contracts.bus import Heard, RecordingHooks, order_event

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"
DEAD = "cortex:public:dead:counting"
AGAIN = "cortex:public:replay:counting:order"
HOUR = 3600
DAY = 24 * HOUR


def trimmer_of(bus: RedisEventBus) -> Trimmer:
    return cast("Trimmer", bus._trimmer)  # a round by hand, instead of a minute of waiting


def filled(server: RedisServer, key: str, *, days_old: float, count: int = 1_000) -> None:
    """`count` entries, all of that age."""
    first = round((time.time() - days_old * DAY) * 1000)
    server.transaction(*[("XADD", key, f"{first}-{number}", "event", "{}") for number in range(1, count + 1)])


async def round_again(bus: RedisEventBus, server: RedisServer) -> int:
    server.command("DEL", "cortex:trimming")
    return await trimmer_of(bus).round()


async def test_what_is_older_than_it_has_to_be_goes_and_the_rest_stays(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    for days in (9, 8, 6, 0):
        filled(redis_server, STREAM, days_old=days)

    assert await trimmer_of(bus).round() == pytest.approx(2_000, abs=100)

    assert redis_server.command("XLEN", STREAM) == pytest.approx(2_000, abs=100)
    ((oldest, _),) = redis_server.command("XRANGE", STREAM, "-", "+", "COUNT", "1")
    assert int(oldest.partition("-")[0]) / 1000 > time.time() - 8.1 * DAY


@pytest.mark.parametrize("state", ["undelivered", "pending"])
async def test_an_entry_that_a_group_has_not_acknowledged_stays_however_old_it_is(
    bus: RedisEventBus, redis_server: RedisServer, state: str
) -> None:
    filled(redis_server, STREAM, days_old=20)
    for group, behind in (("quick", 0), ("slow", 500)):
        redis_server.command("XGROUP", "CREATE", STREAM, group, "0")
        redis_server.command("XREADGROUP", "GROUP", group, "c", "COUNT", str(1_000 - behind), "STREAMS", STREAM, ">")
    delivered = [entry for entry, _ in redis_server.command("XRANGE", STREAM, "-", "+")]
    redis_server.command("XACK", STREAM, "quick", *delivered)
    redis_server.command("XACK", STREAM, "slow", *delivered[:500])
    if state == "pending":
        redis_server.command("XREADGROUP", "GROUP", "slow", "c", "STREAMS", STREAM, ">")

    await trimmer_of(bus).round()

    assert redis_server.command("XLEN", STREAM) == pytest.approx(500, abs=100)
    kept = {entry for entry, _ in redis_server.command("XRANGE", STREAM, "-", "+")}
    assert set(delivered[500:]) <= kept
    redis_server.command("XREADGROUP", "GROUP", "slow", "c", "STREAMS", STREAM, ">")
    redis_server.command("XACK", STREAM, "slow", *delivered)
    await round_again(bus, redis_server)
    assert redis_server.command("XLEN", STREAM) < 100


async def test_ids_are_compared_as_numbers_of_any_length(bus: RedisEventBus, redis_server: RedisServer) -> None:
    for entry in ("9-5", "10-9", "10-10", "99-18446744073709551615"):
        redis_server.command("XADD", STREAM, entry, "event", "{}")
    for group, last in (("one", "10-9"), ("other", "9-5")):
        redis_server.command("XGROUP", "CREATE", STREAM, group, last)
    redis_server.command("CONFIG", "SET", "stream-node-max-entries", "1")

    await trimmer_of(bus).round()

    assert [entry for entry, _ in redis_server.command("XRANGE", STREAM, "-", "+")][-3:] == [
        "10-9",
        "10-10",
        "99-18446744073709551615",
    ]
    redis_server.command("CONFIG", "SET", "stream-node-max-entries", "100")


async def test_dead_letters_go_by_their_own_age(bus: RedisEventBus, redis_server: RedisServer) -> None:
    filled(redis_server, DEAD, days_old=91)
    filled(redis_server, DEAD, days_old=89)

    await trimmer_of(bus).round()

    assert redis_server.command("XLEN", DEAD) == pytest.approx(1_000, abs=100)


async def test_what_came_again_goes_once_it_is_acknowledged_and_not_before_anybody_reads_it(
    bus: RedisEventBus, redis_server: RedisServer
) -> None:
    filled(redis_server, AGAIN, days_old=20)
    await trimmer_of(bus).round()
    assert redis_server.command("XLEN", AGAIN) == 1_000

    redis_server.command("XGROUP", "CREATE", AGAIN, "counting", "0")
    await round_again(bus, redis_server)
    assert redis_server.command("XLEN", AGAIN) == 1_000

    read = redis_server.command("XREADGROUP", "GROUP", "counting", "c", "STREAMS", AGAIN, ">")
    redis_server.command("XACK", AGAIN, "counting", *[entry for entry, _ in read[0][1]])
    await round_again(bus, redis_server)
    assert redis_server.command("XLEN", AGAIN) < 100


async def test_a_group_that_is_gone_is_told_of_once_a_day_and_nothing_of_it_is_cut(
    make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    clock = FakeClock()
    bus = make_bus(hooks=hooks, clock=clock)
    filled(redis_server, STREAM, days_old=31)
    redis_server.command("XGROUP", "CREATE", STREAM, "gone", "0")
    redis_server.command("XGROUP", "CREATE", STREAM, "alive", "0")
    redis_server.command("XREADGROUP", "GROUP", "alive", "c", "COUNT", "1", "STREAMS", STREAM, ">")

    for hours in (1, 22, 2):
        await round_again(bus, redis_server)
        await clock.advance(hours * HOUR)
    assert [(told.strain, told.group, told.topic) for told in hooks.strains] == [(Strain.ABANDONED, "gone", "order")]
    assert hooks.strains[0].seconds == pytest.approx(31 * DAY, rel=0.01)
    await round_again(bus, redis_server)
    assert len(hooks.strains) == 2
    assert redis_server.command("XLEN", STREAM) == 1_000

    await bus.log.forget_group("gone", "order")
    await bus.log.forget_group("alive", "order")
    await round_again(bus, redis_server)
    assert redis_server.command("XLEN", STREAM) < 100


async def test_one_process_at_a_time_trims(bus: RedisEventBus, make_bus: MakeBus, redis_server: RedisServer) -> None:
    filled(redis_server, STREAM, days_old=9)
    assert await trimmer_of(bus).round() > 0
    filled(redis_server, STREAM, days_old=8)

    assert await trimmer_of(make_bus()).round() == 0

    assert redis_server.command("XLEN", STREAM) >= 1_000


async def test_it_trims_by_itself_as_long_as_the_bus_is_used(make_bus: MakeBus, redis_server: RedisServer) -> None:
    filled(redis_server, STREAM, days_old=9)
    clock = FakeClock()
    bus = make_bus(clock=clock, retention=Retention(every=60))
    await bus.publish([order_event(0)])

    await eventually(lambda: clock.sleepers)
    await clock.advance(60)

    await eventually(lambda: redis_server.command("XLEN", STREAM) < 200)
    await bus.aclose()


async def test_a_bus_without_retention_leaves_trimming_to_others(make_bus: MakeBus) -> None:
    bus = make_bus(retention=None)

    await bus.publish([order_event(0)])

    assert bus._trimmer is None


@pytest.mark.parametrize("name", ["keep", "keep_dead", "abandoned_after", "every"])
def test_a_time_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Retention(**{name: 0.0})


async def test_a_length_that_cuts_what_a_group_needs_is_told(
    make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    bus = make_bus(hooks=hooks, max_length=200)
    redis_server.command("XADD", STREAM, "1-1", "event", "{}")
    redis_server.command("XGROUP", "CREATE", STREAM, "slow", "0")

    for _ in range(3):
        await bus.publish([order_event(number) for number in range(200)])

    assert {(told.strain, told.topic, told.tenant) for told in hooks.strains} == {(Strain.CUT, "order", "public")}
    assert all(0 < told.entries <= 600 for told in hooks.strains)
    assert redis_server.command("XLEN", STREAM) < 400


async def test_a_length_that_cuts_only_what_all_groups_have_acknowledged_is_not_told(
    make_bus: MakeBus, hooks: RecordingHooks, redis_server: RedisServer
) -> None:
    bus, heard = make_bus(hooks=hooks, max_length=200), Heard()
    await bus.consume("counting", ["order"], heard)

    for number in range(1, 5):
        await bus.publish([order_event(each) for each in range(190)])
        await eventually(lambda: len(heard.events) == number * 190)  # noqa: B023 - awaited within its turn
        await eventually(lambda: redis_server.command("XPENDING", STREAM, "counting")[0] == 0)

    assert redis_server.command("XLEN", STREAM) < 500
    assert hooks.strains == []
