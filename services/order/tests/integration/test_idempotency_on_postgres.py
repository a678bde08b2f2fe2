"""`Idempotency-Key` where replicas share a PostgreSQL: nobody in the process to ask, only the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.testing import FakeClock, eventually, serving
from cortex_order.settings import Settings
from cortex_order.wiring import build


@pytest.fixture
async def replicas(postgres_url: str, payments: Any, api_of: Any, clock: FakeClock) -> AsyncIterator[list[Any]]:
    """Four of them, one after the other, for the first makes the tables. No order's actor answers too late."""
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(4):
            settings = Settings(env="test", database_url=postgres_url)
            app = build(settings, clock=clock, bus=MemoryEventBus(), payments=payments)
            started.append(api_of(await stack.enter_async_context(serving(app))))
        yield started


async def listed(api: Any, clock: FakeClock) -> int:
    """How many orders it lists. Who does not lead asks again, by the clock, how far the leader's list has come."""
    asking = asyncio.create_task(api.get("/orders"))
    while not asking.done():
        await clock.advance(0.05)
        await asyncio.wait([asking], timeout=0.01)
    return len(asking.result().body["orders"])


async def test_of_a_hundred_requests_with_one_key_at_four_replicas_one_places_the_order(
    replicas: list[Any], clock: FakeClock
) -> None:
    replies = await asyncio.gather(*(api.place("basket-7") for _ in range(25) for api in replicas))

    placed = [reply for reply in replies if reply.status == 201]
    assert len({(reply.body["orderId"], reply.headers["Location"]) for reply in placed}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in placed) == 1
    assert all(reply.code == (409, "idempotency.in-progress") for reply in replies if reply.status != 201)
    for api in replicas:
        assert await eventually(lambda api=api: listed(api, clock)) == 1


async def test_when_one_has_answered_each_replica_shows_the_order(replicas: list[Any]) -> None:
    first = await replicas[0].place("basket-7")

    replies = await asyncio.gather(*(api.place("basket-7") for api in replicas))

    assert {(reply.status, reply.body["orderId"]) for reply in replies} == {(201, first.body["orderId"])}


async def test_one_key_for_two_orders_is_one_order(replicas: list[Any]) -> None:
    orders = [{"customerId": f"cus_{number}"} for number in range(len(replicas))]

    at_once = await asyncio.gather(
        *(api.place("basket-7", **order) for api, order in zip(replicas, orders, strict=True))
    )
    afterwards = [await api.place("basket-7", **order) for api, order in zip(replicas, orders, strict=True)]

    refused = {(409, "idempotency.in-progress"), (422, "idempotency.key-reused")}
    assert [reply.status for reply in at_once].count(201) == 1
    assert {reply.code for reply in at_once if reply.status != 201} <= refused
    assert sorted(reply.status for reply in afterwards) == [201, 422, 422, 422]
