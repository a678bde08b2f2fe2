"""The order: what may happen to it, and when. No I/O, no clock, no framework.

`order.py` is the aggregate, `events.py` what has happened, `money.py` and `lines.py` the values it is made of,
`errors.py` what it refuses. Everything a stranger may get wrong is refused here, under a code of its own.
"""

from cortex_order.domain.errors import (
    AmountOutOfBounds,
    EmptyOrder,
    IllegalTransition,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    OrderNotFound,
    TooManyItems,
    UnknownCurrency,
)
from cortex_order.domain.events import (
    FailureReason,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderEvent,
    OrderFailed,
    ProcessingStarted,
)
from cortex_order.domain.lines import (
    CUSTOMER,
    MAX_ITEMS,
    MAX_QUANTITY,
    SKU,
    TOKEN,
    CustomerId,
    Item,
    PaymentToken,
    total_of,
)
from cortex_order.domain.money import MAX_AMOUNT, Currency, Money
from cortex_order.domain.order import Order, OrderId, Status, order_id

__all__ = [
    "CUSTOMER",
    "MAX_AMOUNT",
    "MAX_ITEMS",
    "MAX_QUANTITY",
    "SKU",
    "TOKEN",
    "AmountOutOfBounds",
    "Currency",
    "CustomerId",
    "EmptyOrder",
    "FailureReason",
    "IllegalTransition",
    "InvalidCustomerId",
    "InvalidPaymentToken",
    "InvalidPrice",
    "InvalidQuantity",
    "InvalidSku",
    "Item",
    "Money",
    "Order",
    "OrderCancelled",
    "OrderCompleted",
    "OrderCreated",
    "OrderEvent",
    "OrderFailed",
    "OrderId",
    "OrderNotFound",
    "PaymentToken",
    "ProcessingStarted",
    "Status",
    "TooManyItems",
    "UnknownCurrency",
    "order_id",
    "total_of",
]
