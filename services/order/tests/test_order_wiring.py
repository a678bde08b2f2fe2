"""What is joined: who a replica is, what is seen of its actors, and that their end is said."""

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from cortex_core.actors import Actor, ActorSystem
from cortex_core.observability import Logger, configure_logging
from cortex_order.settings import Settings
from cortex_order.wiring import drain, holder


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging(service="order", stream=stream)
    yield stream
    configure_logging(service="order")


def test_a_replica_has_the_same_name_after_a_restart_and_one_beside_it_has_another() -> None:
    assert holder(Settings(env="test", port=3001)) == holder(Settings(env="test", port=3001))
    assert holder(Settings(env="test", port=3001)) != holder(Settings(env="test", port=3002))


def test_two_replicas_that_take_whatever_port_is_free_are_two() -> None:
    assert holder(Settings(env="test", port=0)) != holder(Settings(env="test", port=0))


def test_replicas_on_hosts_of_one_name_are_told_apart_by_the_name_they_are_given() -> None:
    east, west = (Settings(env="test", port=3001, replica=name) for name in ("order-east-0", "order-west-0"))

    assert (holder(east), holder(west)) == ("order-east-0", "order-west-0")


async def test_the_orders_in_memory_are_seen(api: Any, client: aiohttp.ClientSession) -> None:
    await api.settled(await api.placed())

    async with client.get("/metrics") as answer:
        seen = await answer.text()

    assert 'cortex_actors_started_total{system="order"} 1' in seen
    assert 'cortex_actors_active{system="order"}' in seen


class Stuck(Actor):
    async def receive(self, message: object) -> None:
        await asyncio.Event().wait()


async def test_commands_that_an_end_cuts_off_are_said(lines: io.StringIO, clock: Any) -> None:
    system = ActorSystem("order", clock=clock)
    actor = system.spawn(Stuck)
    actor.tell("one")
    actor.tell("two")
    await asyncio.sleep(0)
    ending = asyncio.create_task(drain(system, 0.0, Logger.get("order")))

    await clock.advance(5.0)
    await ending

    assert "commands to orders were dropped" in lines.getvalue()
    assert '"left":1' in lines.getvalue().replace(" ", "")


async def test_an_end_that_cuts_nothing_off_is_not_worth_a_line(lines: io.StringIO, clock: Any) -> None:
    await drain(ActorSystem("order", clock=clock), 0.0, Logger.get("order"))

    assert lines.getvalue() == ""
