"""What can be asked of an order, in the imperative. Whether it may be is `Order.decide`'s to say; creation has no order
to ask yet, and is `Order.decide_creation`'s."""

from dataclasses import dataclass

from cortex_order.domain.events import FailureReason
from cortex_order.domain.lines import CustomerId, Item, PaymentToken


@dataclass(frozen=True, slots=True)
class Create:
    """Everything a new order is made of. `token` pays for it, and is in no event."""

    customer_id: CustomerId
    items: tuple[Item, ...]
    currency: str
    token: PaymentToken


@dataclass(frozen=True, slots=True)
class Process:
    """Its payment is taken from now on."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The provider has charged it."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Fail:
    """It will not be paid."""

    reason: FailureReason


@dataclass(frozen=True, slots=True)
class Cancel:
    """Called off; with `if_version` only as long as it is at this version."""

    if_version: int | None = None


OrderCommand = Process | Complete | Fail | Cancel
