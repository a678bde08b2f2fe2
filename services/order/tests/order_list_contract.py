"""What every list of orders does, wherever it is kept."""

from collections.abc import Sequence

from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock
from cortex_order.domain import FailureReason, Status
from cortex_order.ports import OrderList, OrderRow, Orders

from .stored_orders import placed, processing


async def all_rows(listing: OrderList) -> Sequence[OrderRow]:
    return (await listing.page(status=None, limit=100, after=None)).rows


class OrderListContract:
    """Each adapter's test provides `orders` and `listing`."""

    async def test_orders_are_listed_newest_first_page_by_page(
        self, orders: Orders, listing: OrderList, clock: FakeClock
    ) -> None:
        ids = [(await placed(orders, clock)).id for _ in range(5)]

        first = await listing.page(status=None, limit=2, after=None)
        second = await listing.page(status=None, limit=2, after=first.after)
        third = await listing.page(status=None, limit=2, after=second.after)

        assert [row.order_id for page in (first, second, third) for row in page.rows] == ids[::-1]
        assert (third.after, third.behind) == (None, 0)

    async def test_a_page_that_just_holds_the_rest_is_the_last(
        self, orders: Orders, listing: OrderList, clock: FakeClock
    ) -> None:
        for _ in range(2):
            await placed(orders, clock)

        assert (await listing.page(status=None, limit=2, after=None)).after is None

    async def test_orders_are_listed_by_status_as_they_stand(
        self, orders: Orders, listing: OrderList, clock: FakeClock
    ) -> None:
        await placed(orders, clock)
        failed = await processing(orders, clock)
        await orders.save(failed, failed.decide_failure(FailureReason.DECLINED, clock.now()))

        (row,) = (await listing.page(status=Status.FAILED, limit=10, after=None)).rows

        assert (row.order_id, row.customer_id, row.total, row.currency) == (failed.id, "cus_1", 2500, "EUR")
        assert (row.version, row.created_at, row.reason) == (3, failed.created_at, "declined")
        assert [each.status for each in (await listing.page(status=Status.PENDING, limit=10, after=None)).rows] == [
            Status.PENDING
        ]

    async def test_each_step_of_an_order_is_seen_by_whoever_asks_after_it(
        self, orders: Orders, listing: OrderList, clock: FakeClock
    ) -> None:
        seen = []
        order = await placed(orders, clock)
        for events in (
            list,
            order.decide_processing,
            lambda: order.decide_completion("ch_1", clock.now()),
        ):
            await orders.save(order, events())
            seen += [(row.status.value, row.version) for row in await all_rows(listing)]

        cancelled = await placed(orders, clock)
        await orders.save(cancelled, cancelled.decide_cancellation(clock.now()))

        assert seen == [("pending", 1), ("processing", 2), ("completed", 3)]
        assert (await all_rows(listing))[0].status is Status.CANCELLED

    async def test_a_tenant_sees_its_own_orders_only(
        self, orders: Orders, listing: OrderList, clock: FakeClock
    ) -> None:
        await placed(orders, clock)

        with use_context(tenant="acme"):
            assert await all_rows(listing) == []
            own = await placed(orders, clock)
            assert [row.order_id for row in await all_rows(listing)] == [own.id]
