"""The order's rules, and the values it is made of."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_order.domain import (
    MAX_AMOUNT,
    MAX_ITEMS,
    AmountOutOfBounds,
    Cancel,
    Complete,
    Currency,
    CustomerId,
    EmptyOrder,
    Fail,
    FailureReason,
    IllegalTransition,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    Item,
    Money,
    Order,
    OrderCommand,
    OrderCreated,
    OrderNotFound,
    PaymentToken,
    Process,
    StaleOrder,
    Status,
    TooManyItems,
    UnknownCurrency,
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


@pytest.mark.parametrize(
    "text", ["", "ord_", "ord_" + "g" * 32, "ORD_" + "0" * 32, "ord_" + "0" * 33, "ord_" + "0" * 32 + "\n"]
)
def test_what_can_be_no_orders_id_names_no_order(text: str) -> None:
    with pytest.raises(OrderNotFound):
        order_id(text)


@pytest.mark.parametrize("quantity", [0, -1, 10**7, -(10**30)])
def test_a_quantity_is_a_countable_number_of_things(quantity: int) -> None:
    with pytest.raises(InvalidQuantity):
        Item("book", quantity, 1)


@pytest.mark.parametrize("price", [-1, MAX_AMOUNT + 1, 10**30])
def test_a_price_is_neither_negative_nor_boundless(price: int) -> None:
    with pytest.raises(InvalidPrice):
        Item("book", 1, price)


@pytest.mark.parametrize("sku", ["", " book", "a" * 65, "a/b", "../etc", "bü", "book\n"])
def test_a_sku_has_a_form(sku: str) -> None:
    with pytest.raises(InvalidSku):
        Item(sku, 1, 1)


@pytest.mark.parametrize("customer", ["", "_x", "a" * 65, "cus 1", "cus_1\n", "cus_1'--", "ç"])
def test_a_customer_id_has_a_form(customer: str) -> None:
    with pytest.raises(InvalidCustomerId):
        CustomerId(customer)


@pytest.mark.parametrize("token", ["", "tok_", "ok", "tok_" + "a" * 61, "tok_ok ", "tok_\u00f6"])
def test_a_payment_token_has_a_form(token: str) -> None:
    with pytest.raises(InvalidPaymentToken):
        PaymentToken(token)


def test_the_refusal_of_a_token_does_not_repeat_it() -> None:
    with pytest.raises(InvalidPaymentToken) as caught:
        PaymentToken("4111111111111111")

    assert "4111" not in f"{caught.value} {caught.value.details}"


def test_a_payment_token_shows_itself_to_nobody() -> None:
    token = PaymentToken("tok_secret")

    assert "secret" not in f"{token} {token!r}"


@pytest.mark.parametrize("code", ["", "eur", "EURO", "XXX", "XTS", "BGN", "E\u00dcR"])
def test_a_currency_is_one_in_use(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        Order.decide_creation(CUSTOMER, [BOOKS], code, NOON)


def test_an_order_has_items_but_not_too_many() -> None:
    with pytest.raises(EmptyOrder):
        Order.decide_creation(CUSTOMER, [], "EUR", NOON)
    with pytest.raises(TooManyItems):
        Order.decide_creation(CUSTOMER, [BOOKS] * (MAX_ITEMS + 1), "EUR", NOON)
    assert Order.decide_creation(CUSTOMER, [BOOKS] * MAX_ITEMS, "EUR", NOON)


@pytest.mark.parametrize("items", [[Item("gift", 1, 0)], [Item("yacht", 2, MAX_AMOUNT)]])
def test_a_total_of_nothing_or_too_much_is_refused(items: list[Item]) -> None:
    with pytest.raises(AmountOutOfBounds):
        Order.decide_creation(CUSTOMER, items, "EUR", NOON)


@given(st.lists(st.builds(Item, st.just("x"), st.integers(1, 1_000_000), st.integers(0, MAX_AMOUNT)), max_size=120))
def test_whatever_is_ordered_the_total_is_the_sum_or_a_refusal(items: list[Item]) -> None:
    expected = sum(item.quantity * item.unit_price for item in items)

    try:
        (event,) = Order.decide_creation(CUSTOMER, items, "EUR", NOON)
    except (EmptyOrder, TooManyItems, AmountOutOfBounds):
        assert not items or len(items) > MAX_ITEMS or not 1 <= expected <= MAX_AMOUNT
    else:
        assert isinstance(event, OrderCreated)
        assert event.total.amount == expected <= MAX_AMOUNT
