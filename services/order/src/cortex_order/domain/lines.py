"""What a customer says when ordering: who, what, how many, paid by what. A value refuses nonsense when it is made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cortex_order.domain.errors import (
    CurrencyMismatch,
    EmptyOrder,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    TooManyItems,
)
from cortex_order.domain.money import MAX_AMOUNT, Money, currency

MAX_ITEMS: Final = 100
MAX_QUANTITY: Final = 1_000_000

CUSTOMER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
SKU: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
TOKEN: Final = re.compile(r"tok_[A-Za-z0-9_-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CustomerId:
    """Whose order it is. Raises InvalidCustomerId."""

    value: str

    def __post_init__(self) -> None:
        if not CUSTOMER.fullmatch(self.value):
            raise InvalidCustomerId

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class PaymentToken:
    """The provider's handle on a means of payment: a secret, so it shows itself to nobody who prints it. Raises
    InvalidPaymentToken."""

    secret: str

    def __post_init__(self) -> None:
        if not TOKEN.fullmatch(self.secret):
            raise InvalidPaymentToken

    def __repr__(self) -> str:
        return "PaymentToken(…)"


@dataclass(frozen=True, slots=True)
class Item:
    """`quantity` of an article at `unit_price` minor units each. Raises InvalidSku, InvalidQuantity, InvalidPrice."""

    sku: str
    quantity: int
    unit_price: int

    def __post_init__(self) -> None:
        if not SKU.fullmatch(self.sku):
            raise InvalidSku
        if not 1 <= self.quantity <= MAX_QUANTITY:
            raise InvalidQuantity(MAX_QUANTITY)
        if not 0 <= self.unit_price <= MAX_AMOUNT:
            raise InvalidPrice(MAX_AMOUNT)


def check_count(count: int) -> None:
    """Raises EmptyOrder, TooManyItems."""
    if count == 0:
        raise EmptyOrder
    if count > MAX_ITEMS:
        raise TooManyItems(count, MAX_ITEMS)


def check_currency(item_currency: str, order_currency: str) -> None:
    """Of an item that names one. Raises CurrencyMismatch: nothing is converted here."""
    if item_currency != order_currency:
        raise CurrencyMismatch(item_currency, order_currency)


def total_of(items: Sequence[Item], currency_code: str) -> Money:
    """What the items cost together. Raises EmptyOrder, TooManyItems, UnknownCurrency, AmountOutOfBounds."""
    check_count(len(items))
    return Money(sum(item.quantity * item.unit_price for item in items), currency(currency_code))
