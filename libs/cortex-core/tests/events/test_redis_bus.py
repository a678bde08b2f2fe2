"""The bus on Redis: the contract, its keys and its scripts."""

from collections.abc import Callable

import pytest

from cortex_core.events import EventBus
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.contracts.bus import EventBusContract, Heard, RecordingHooks, order_event

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
