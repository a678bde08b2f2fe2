"""Placing once, and calling off, where others are at it at the same time."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cortex_core.eventsourcing import StaleVersion
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock
from cortex_order.domain import (
    CustomerId,
    IllegalTransition,
    Item,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    StaleOrder,
    Status,
)
from cortex_order.ports import KeyTaken, Once, Orders, Used
from cortex_order.usecases import CancelOrder, CarryOut, KeyInProgress, KeyReused, Placed, PlaceOnce, PlaceOrder

CUSTOMER, ITEMS, TOKEN = CustomerId("cus_1"), [Item("book", 2, 1250)], PaymentToken("tok_ok")


class LateKeys:
    """`Keys` that see what another replica did only from the second look on."""

    def __init__(self, keys: Any, *, blind: int = 1) -> None:
        self._keys = keys
        self._blind = blind

    async def find(self, key: str) -> Used | None:
        self._blind -= 1
        return None if self._blind >= 0 else await self._keys.find(key)


class TestPlacingOnce:
    @pytest.fixture
    def replica(self, commands: Any, memory_orders: Any, clock: FakeClock) -> Any:
        place = PlaceOrder(commands, lambda: None)

        def make(keys: Any = memory_orders) -> PlaceOnce:
            return PlaceOnce(place, keys, memory_orders, clock, timedelta(days=1))

        return make

    async def test_who_loses_the_race_shows_the_winners_order(self, replica: Any, memory_orders: Any) -> None:
        winner = await replica()("key", CUSTOMER, ITEMS, "EUR", TOKEN)

        loser = await replica(LateKeys(memory_orders))("key", CUSTOMER, ITEMS, "EUR", TOKEN)

        assert (winner.replayed, loser) == (False, Placed(winner.order, replayed=True))
        assert len(memory_orders.events) == 1

    async def test_who_loses_the_race_with_another_order_is_refused(self, replica: Any, memory_orders: Any) -> None:
        await replica()("key", CUSTOMER, ITEMS, "EUR", TOKEN)

        with pytest.raises(KeyReused):
            await replica(LateKeys(memory_orders))("key", CUSTOMER, ITEMS, "USD", TOKEN)

    async def test_a_winner_that_cannot_be_seen_yet_is_asked_for_again(self, replica: Any, memory_orders: Any) -> None:
        await replica()("key", CUSTOMER, ITEMS, "EUR", TOKEN)

        with pytest.raises(KeyInProgress) as raised:
            await replica(LateKeys(memory_orders, blind=2))("key", CUSTOMER, ITEMS, "EUR", TOKEN)

        assert (raised.value.retry_after, raised.value.attempted) == (1.0, False)

    async def test_a_key_is_free_again_when_its_request_has_failed(self, replica: Any, memory_orders: Any) -> None:
        place_once = replica()
        for refused in (KeyTaken, KeyInProgress):
            memory_orders.used.clear()
            real, memory_orders.add = memory_orders.add, _raising(refused)
            with pytest.raises(KeyInProgress):
                await place_once("key", CUSTOMER, ITEMS, "EUR", TOKEN)
            memory_orders.add = real

        assert not (await place_once("key", CUSTOMER, ITEMS, "EUR", TOKEN)).replayed

    async def test_another_tenants_request_with_the_same_key_is_not_in_the_way(
        self, replica: Any, memory_orders: Any
    ) -> None:
        place_once, add, gate = replica(), memory_orders.add, asyncio.Event()

        async def slowly(*order: Any) -> None:
            await gate.wait()
            await add(*order)

        memory_orders.add = slowly
        with use_context(tenant="acme"):
            theirs = asyncio.create_task(place_once("key", CUSTOMER, ITEMS, "EUR", TOKEN))
        await asyncio.sleep(0)
        memory_orders.add = add

        mine = await place_once("key", CUSTOMER, ITEMS, "EUR", TOKEN)
        gate.set()

        assert {mine.replayed, (await theirs).replayed} == {False}
        assert mine.order.id != (await theirs).order.id


def _raising(error: type[Exception]) -> Any:
    async def add(order: Order, events: Any, token: PaymentToken, once: Once | None = None) -> None:
        raise error

    return add


class TestCancelling:
    @pytest.fixture
    def cancel(self, commands: Any) -> CancelOrder:
        return CancelOrder(commands)

    @pytest.fixture
    async def order_id(self, commands: Any) -> OrderId:
        return (await PlaceOrder(commands, lambda: None)(CUSTOMER, ITEMS, "EUR", TOKEN)).id

    @pytest.fixture
    def overtaken(self, commands: Any, memory_orders: Any, clock: FakeClock) -> CancelOrder:
        return CancelOrder(replace(commands, carry_out=CarryOut(_Overtaking(memory_orders, clock), clock)))

    async def test_an_order_is_called_off_and_stays_so(self, cancel: CancelOrder, order_id: OrderId) -> None:
        first, second = await cancel(order_id), await cancel(order_id)

        assert (first.status, first.version) == (Status.CANCELLED, 2)
        assert second == first

    async def test_of_an_order_that_is_not_there_nothing_is_called_off(self, cancel: CancelOrder) -> None:
        with pytest.raises(OrderNotFound):
            await cancel(OrderId("ord_" + "0" * 32), if_version=1)

    async def test_only_the_version_that_was_seen_is_called_off(
        self, cancel: CancelOrder, order_id: OrderId, memory_orders: Any
    ) -> None:
        with pytest.raises(StaleOrder) as raised:
            await cancel(order_id, if_version=2)
        assert raised.value.details == {"version": 1}
        assert (await memory_orders.load(order_id)).status is Status.PENDING

        assert (await cancel(order_id, if_version=1)).status is Status.CANCELLED

    async def test_who_was_overtaken_decides_again_on_what_the_order_has_become(
        self, overtaken: CancelOrder, order_id: OrderId, memory_orders: Any
    ) -> None:
        with pytest.raises(IllegalTransition):
            await overtaken(order_id)

        assert (await memory_orders.load(order_id)).status is Status.COMPLETED

    async def test_who_was_overtaken_and_had_seen_another_version_is_told_so(
        self, overtaken: CancelOrder, order_id: OrderId
    ) -> None:
        with pytest.raises(StaleOrder):
            await overtaken(order_id, if_version=1)

    async def test_who_is_overtaken_for_ever_gives_up(
        self, cancel: CancelOrder, order_id: OrderId, memory_orders: Any
    ) -> None:
        tries = 0

        async def save(order: Order, events: Any) -> None:
            nonlocal tries
            tries += 1
            raise StaleVersion(order.id, 1, 2)

        memory_orders.save = save
        with pytest.raises(StaleVersion):
            await cancel(order_id)

        assert tries == 5


class _Overtaking(Orders):
    """`Orders` in which somebody completes the order between its being loaded and its being saved."""

    def __init__(self, orders: Any, clock: FakeClock) -> None:
        self._orders = orders
        self._clock = clock

    async def load(self, order_id: OrderId) -> Order:
        found: Order = await self._orders.load(order_id)
        return found

    async def save(self, order: Order, events: Any) -> None:
        faster = await self._orders.load(order.id)
        if not faster.status.is_final:
            await self._orders.save(faster, faster.decide_processing())
            await self._orders.save(faster, faster.decide_completion("ch_1", self._clock.now()))
        await self._orders.save(order, events)
