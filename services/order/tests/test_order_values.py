"""The values that an order is made of, and what can be ordered."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_order.domain import (
    MAX_AMOUNT,
    MAX_ITEMS,
    AmountOutOfBounds,
    CustomerId,
    EmptyOrder,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    Item,
    Order,
    OrderCreated,
    OrderNotFound,
    PaymentToken,
    TooManyItems,
    UnknownCurrency,
    order_id,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CUSTOMER = CustomerId("cus_1")
BOOKS = Item("book", 2, 1250)


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
