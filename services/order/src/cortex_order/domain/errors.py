"""What an order refuses. The codes are stable: clients switch on them."""

from cortex_core.kernel import CortexError, Kind


class OrderNotFound(CortexError):
    """No such order. An id that no order can have names none either, so it gets the same answer."""

    code, kind = "order.not-found", Kind.NOT_FOUND

    def __init__(self, order_id: str) -> None:
        super().__init__(f"there is no order {order_id[:64]!r}")


class VersionNotFound(CortexError):
    """The order has not come to this version: it may yet."""

    code, kind = "order.version-not-found", Kind.NOT_FOUND

    def __init__(self, order_id: str, newest: int) -> None:
        super().__init__(f"the newest version of order {order_id} is {newest}", newest=newest)


class StaleOrder(CortexError):
    """The order is not at the version that the caller has seen: somebody was faster. Look again, decide again."""

    code, kind = "order.stale-version", Kind.PRECONDITION_FAILED

    def __init__(self, order_id: str, current: int) -> None:
        super().__init__(f"order {order_id} is at version {current}, and not as it was seen", version=current)


class IllegalTransition(CortexError):
    """The order's state does not allow this."""

    code, kind = "order.illegal-transition", Kind.CONFLICT

    def __init__(self, order_id: str, current: str, wanted: str) -> None:
        super().__init__(
            f"order {order_id} is {current}; it cannot become {wanted}",
            order_id=order_id,
            current=current,
            wanted=wanted,
        )


class EmptyOrder(CortexError):
    """No items."""

    code, kind = "order.empty", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("an order has at least one item")


class TooManyItems(CortexError):
    """More items than one order takes."""

    code, kind = "order.too-many-items", Kind.UNPROCESSABLE

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"{count} items; an order has at most {limit}", limit=limit)


class InvalidQuantity(CortexError):
    """A quantity that is not a countable number of things."""

    code, kind = "order.invalid-quantity", Kind.UNPROCESSABLE

    def __init__(self, limit: int) -> None:
        super().__init__(f"a quantity is a whole number from 1 to {limit}", minimum=1, maximum=limit)


class InvalidPrice(CortexError):
    """A unit price below zero, or beyond what any order may cost."""

    code, kind = "order.invalid-price", Kind.UNPROCESSABLE

    def __init__(self, limit: int) -> None:
        super().__init__(f"a unit price is a whole number of minor units from 0 to {limit}", minimum=0, maximum=limit)


class AmountOutOfBounds(CortexError):
    """The total is nothing, or more than one order may cost."""

    code, kind = "order.total-out-of-bounds", Kind.UNPROCESSABLE

    def __init__(self, limit: int) -> None:
        super().__init__(f"an order costs from 1 to {limit} minor units", minimum=1, maximum=limit)


class UnknownCurrency(CortexError):
    """Not the code of a currency in use (ISO 4217)."""

    code, kind = "order.unknown-currency", Kind.UNPROCESSABLE

    def __init__(self, currency: str) -> None:
        super().__init__(f"{currency[:16]!r} is not an ISO 4217 code of a currency in use")


class CurrencyMismatch(CortexError):
    """An item is priced in another currency than the order."""

    code, kind = "order.currency-mismatch", Kind.UNPROCESSABLE

    def __init__(self, currency: str, order_currency: str) -> None:
        super().__init__(f"an item in {currency[:16]!r} has no place in an order in {order_currency[:16]!r}")


class InvalidCustomerId(CortexError):
    """Not the form of a customer's id."""

    code, kind = "order.invalid-customer", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("a customer id is 1 to 64 letters, digits, `_` or `-`, beginning with a letter or digit")


class InvalidSku(CortexError):
    """Not the form of an article number."""

    code, kind = "order.invalid-sku", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("a sku is 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit")


class InvalidPaymentToken(CortexError):
    """Not the form of a payment token. The token is not repeated: it is a secret."""

    code, kind = "order.invalid-payment-token", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("a payment token is `tok_` and 1 to 60 letters, digits, `_` or `-`")
