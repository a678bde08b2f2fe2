"""The bus on Redis: the contract, its keys and its scripts."""

import asyncio
from collections.abc import Callable

import pytest

from cortex_core.events import BusUnavailable, EventBus, Marker
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import EventBusContract, Heard, RecordingHooks, order_event
from cortex_core.testing.contracts.bus.tools import dead

MakeBus = Callable[..., RedisEventBus]
STREAM = "cortex:public:events:order"


class TestRedisEventBus(EventBusContract):
    @pytest.fixture
    def elsewhere(self, make_bus: MakeBus, hooks: RecordingHooks) -> EventBus:
        return make_bus(hooks=hooks)


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


@pytest.mark.parametrize("events_before", [0, 500])
async def test_a_marker_is_not_written_where_an_event_before_it_was_not(
    bus: RedisEventBus, redis_server: RedisServer, events_before: int
) -> None:
    redis_server.command("SET", STREAM, "not a stream")
    files = [order_event(number, type="file.stored") for number in range(events_before)]

    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await bus.publish([order_event(), *files], marker=Marker("outbox", 1))

    assert await bus.marker("outbox") is None


async def test_a_wipe_takes_the_marker_with_the_events(bus: RedisEventBus, redis_server: RedisServer) -> None:
    await bus.publish([order_event()], marker=Marker("outbox", 1))

    redis_server.flush()

    assert await bus.marker("outbox") is None


async def test_a_member_that_leaves_leaves_no_name_behind(bus: RedisEventBus, redis_server: RedisServer) -> None:
    heard = Heard()
    member = await bus.consume("counting", ["order"], heard)
    await bus.publish([order_event(0)])
    await eventually(lambda: heard.events)
    assert len(_consumers(redis_server)) == 1

    await member.aclose()

    assert _consumers(redis_server) == []


def _consumers(server: RedisServer) -> list[str]:
    return [about[1] for about in server.command("XINFO", "CONSUMERS", STREAM, "counting")]


@pytest.mark.parametrize(
    "option",
    [
        "decode_responses=true",
        "protocol=3",
        "legacy_responses=false",
        "encoding=utf-16",
        "socket_timeout=0.001",
        "socket_connect_timeout=0.000001",
        "max_connections=1",
        "health_check_interval=1",
        "retry_on_timeout=true",
        "client_name=bus",
    ],
)
async def test_what_a_url_says_to_other_clients_breaks_nothing(
    redis_url: str, hooks: RecordingHooks, option: str
) -> None:
    bus, taken, heard = RedisEventBus(f"{redis_url}?{option}", hooks=hooks), Heard(ord_2=[RuntimeError("no")]), Heard()
    await bus.consume("counting", ["order"], taken)
    await bus.subscribe(["order"], heard)

    await bus.publish([order_event(0), order_event(1, subject="ord_2")], marker=Marker("outbox", 7))

    await eventually(lambda: (taken.numbers, heard.numbers) == ([0, 1], [0, 1]))
    await eventually(lambda: dead(bus, "counting", 1))
    asked = await asyncio.gather(*[bus.marker("outbox") for _ in range(20)])
    assert asked == [7] * 20
    assert [lag.group for lag in await bus.log.lag()] == ["counting"]
    await bus.aclose()
    assert hooks.errors == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:secret@localhost?dbb=1", "dbb"),
        ("redis://:secret@localhost?retry=3", "retry"),
        ("redis://:secret@localhost?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://:secret@localhost?ssl_ca_cert=ca.pem", "ssl_ca_cert"),
        ("rediss://:secret@localhost?ssl_cert_reqs=some", "some"),
        ("redis://user:12?secret=1@localhost", "not a Redis URL"),
        ("redis://user:12?secret=1#2@localhost", "not a Redis URL"),
        ("redis://:secret@localhost?db=first", "not a Redis URL"),
        ("http://:secret@localhost", "not a Redis URL"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_its_password_not_repeated(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        RedisEventBus(url)

    assert "secret" not in str(raised.value)


async def test_a_password_and_a_database_reach_every_connection(redis_server: RedisServer, redis_url: str) -> None:
    there = redis_url.replace("://", "://bus:se%2Fcret@").removesuffix("/0")
    redis_server.command("ACL", "SETUSER", "bus", "on", ">se/cret", "~*", "&*", "+@all")
    try:
        bus, heard = RedisEventBus(f"{there}/1"), Heard()
        await bus.consume("counting", ["order"], heard)
        await bus.publish([order_event(0)])
        await eventually(lambda: heard.events)
        assert await bus.log.topics() == ["order"]
        await bus.aclose()

        nobody = RedisEventBus(redis_url.replace("://", "://bus:wrong@"))
        with pytest.raises(BusUnavailable) as raised:
            await nobody.publish([order_event(0)])
        assert "WRONGPASS" in raised.value.message
        assert "wrong" not in raised.value.message
        with pytest.raises(BusUnavailable, match=r"^Redis refuses the user or the password$"):
            await nobody.log.topics()
        await nobody.aclose()

        other = RedisEventBus(f"{there}/0")
        assert await other.log.topics() == []
        await other.aclose()
    finally:
        redis_server.command("ACL", "DELUSER", "bus")
