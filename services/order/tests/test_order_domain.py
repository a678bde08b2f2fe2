"""The order's rules: what may happen to it, and when."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from cortex_order.domain import (
    Cancel,
    Complete,
    Currency,
    CustomerId,
    Fail,
    FailureReason,
    IllegalTransition,
    Item,
    Money,
    Order,
    OrderCommand,
    Process,
    StaleOrder,
    Status,
    order_id,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CUSTOMER = CustomerId("cus_1")
BOOKS = Item("book", 2, 1250)


def new_order() -> Order:
    return Order.of(Order.decide_creation(CUSTOMER, [BOOKS], "EUR", NOON))


def processing_order() -> Order:
    order = new_order()
    order.apply(order.decide_processing())
    return order


def test_a_new_order_is_pending_in_version_1_and_costs_its_items() -> None:
    order = Order.of(Order.decide_creation(CUSTOMER, [BOOKS, Item("pen", 3, 99)], "EUR", NOON))

    assert (order.status, order.version) == (Status.PENDING, 1)
    assert order.total == Money(2 * 1250 + 3 * 99, Currency("EUR"))
    assert order.created_at == NOON


def test_ids_of_new_orders_are_well_formed_and_grow() -> None:
    ids = [new_order().id for _ in range(100)]

    assert [order_id(each) for each in ids] == ids
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_the_way_to_completed() -> None:
    order = processing_order()
    assert (order.status, order.version) == (Status.PROCESSING, 2)

    events = order.decide_completion("ch_1", NOON + timedelta(seconds=1.5))
    order.apply(events)

    assert (order.status, order.version, order.charge_id) == (Status.COMPLETED, 3, "ch_1")
    assert [event.processing_time for event in events if hasattr(event, "processing_time")] == [1.5]


def test_the_way_to_failed() -> None:
    order = processing_order()

    order.apply(order.decide_failure(FailureReason.DECLINED, NOON))

    assert (order.status, order.version, order.reason) == (Status.FAILED, 3, FailureReason.DECLINED)


def test_a_pending_order_can_be_cancelled() -> None:
    order = new_order()

    order.apply(order.decide_cancellation(NOON))

    assert (order.status, order.version) == (Status.CANCELLED, 2)
    assert order.status.is_final


def test_the_same_answer_twice_is_one_fact() -> None:
    completed, failed, processing = processing_order(), processing_order(), processing_order()
    completed.apply(completed.decide_completion("ch_1", NOON))
    failed.apply(failed.decide_failure(FailureReason.DECLINED, NOON))

    assert completed.decide_completion("ch_1", NOON) == []
    assert failed.decide_failure(FailureReason.DECLINED, NOON) == []
    assert processing.decide_processing() == []


def test_another_answer_to_a_closed_order_is_refused() -> None:
    order = processing_order()
    order.apply(order.decide_completion("ch_1", NOON))

    decisions: list[Callable[[], object]] = [
        lambda: order.decide_completion("ch_2", NOON),
        lambda: order.decide_failure(FailureReason.DECLINED, NOON),
        lambda: order.decide_cancellation(NOON),
        order.decide_processing,
    ]
    for decide in decisions:
        with pytest.raises(IllegalTransition, match="is completed"):
            decide()


def test_a_pending_order_can_neither_complete_nor_fail() -> None:
    with pytest.raises(IllegalTransition, match="is pending; it cannot become completed"):
        new_order().decide_completion("ch_1", NOON)
    with pytest.raises(IllegalTransition):
        new_order().decide_failure(FailureReason.DECLINED, NOON)


def test_an_order_whose_charge_may_be_under_way_can_be_cancelled_and_is_not_settled_by_that() -> None:
    pending, processing = new_order(), processing_order()

    for order in (pending, processing):
        order.apply(order.decide_cancellation(NOON))

    assert (pending.is_settled, processing.is_settled) == (True, False)
    assert (processing.status, processing.version) == (Status.CANCELLED, 3)


def test_an_order_that_has_ended_cannot_be_cancelled() -> None:
    order = processing_order()
    order.apply(order.decide_failure(FailureReason.DECLINED, NOON))

    with pytest.raises(IllegalTransition, match="is failed; it cannot become cancelled"):
        order.decide_cancellation(NOON)


def test_cancelling_again_is_the_same_fact() -> None:
    order = new_order()
    order.apply(order.decide_cancellation(NOON))

    assert order.decide_cancellation(NOON) == []


@pytest.mark.parametrize("version", [0, 1, 3])
def test_an_order_that_is_not_as_it_was_seen_is_not_cancelled(version: int) -> None:
    with pytest.raises(StaleOrder, match="is at version 2"):
        processing_order().decide_cancellation(NOON, if_version=version)

    assert processing_order().decide_cancellation(NOON, if_version=2)


WAYS: dict[Status, list[OrderCommand]] = {
    Status.PENDING: [],
    Status.PROCESSING: [Process()],
    Status.COMPLETED: [Process(), Complete("ch_1")],
    Status.FAILED: [Process(), Fail(FailureReason.DECLINED)],
    Status.CANCELLED: [Cancel()],
}
LEGAL = {
    (Status.PENDING, Process()): Status.PROCESSING,
    (Status.PENDING, Cancel()): Status.CANCELLED,
    (Status.PROCESSING, Process()): Status.PROCESSING,
    (Status.PROCESSING, Complete("ch_1")): Status.COMPLETED,
    (Status.PROCESSING, Fail(FailureReason.DECLINED)): Status.FAILED,
    (Status.PROCESSING, Cancel()): Status.CANCELLED,
    (Status.COMPLETED, Complete("ch_1")): Status.COMPLETED,
    (Status.FAILED, Fail(FailureReason.DECLINED)): Status.FAILED,
    (Status.CANCELLED, Cancel()): Status.CANCELLED,
}
COMMANDS: list[OrderCommand] = [
    Process(),
    Complete("ch_1"),
    Fail(FailureReason.DECLINED),
    Cancel(),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("status", Status)
def test_the_state_machine_is_this_table_and_nothing_else(status: Status, command: OrderCommand) -> None:
    order = new_order()
    for each in WAYS[status]:
        order.apply(order.decide(each, NOON))
    assert order.status is status

    expected = LEGAL.get((status, command))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"is {status}"):
            order.decide(command, NOON)
    else:
        order.apply(order.decide(command, NOON))
        assert order.status is expected


@pytest.mark.parametrize(
    ("reason", "settled"),
    [
        (FailureReason.DECLINED, True),
        (FailureReason.PAYMENT_TIMEOUT, False),
        (FailureReason.PAYMENT_UNAVAILABLE, False),
    ],
)
def test_only_the_providers_own_word_settles_a_failed_order(reason: FailureReason, settled: bool) -> None:
    order = processing_order()

    order.apply(order.decide_failure(reason, NOON))

    assert order.is_settled is settled


def test_a_clock_set_back_makes_no_negative_processing_time() -> None:
    order = processing_order()

    (event,) = order.decide_failure(FailureReason.DECLINED, NOON - timedelta(hours=1))

    assert getattr(event, "processing_time", None) == 0


def test_a_story_that_does_not_begin_with_a_creation_is_no_orders() -> None:
    events = Order.decide_creation(CUSTOMER, [BOOKS], "EUR", NOON)

    with pytest.raises(ValueError, match="begins with its creation"):
        Order.of(new_order().decide_processing())
    with pytest.raises(ValueError, match="created twice"):
        Order.of([*events, *events])
