"""What goes in and out. Types are strict (`"2"` and `true` are no numbers) and unknown members are refused; what a
value may be is the domain's to say, under a code of its own: of its bounds, the schemas tell and enforce nothing."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cortex_core.kernel import CortexError
from cortex_core.kernel.clock import rfc3339
from cortex_order.domain import (
    CUSTOMER,
    MAX_AMOUNT,
    MAX_ITEMS,
    MAX_QUANTITY,
    SKU,
    TOKEN,
    Item,
    Order,
    Status,
    check_count,
    check_currency,
)
from cortex_order.ports import Fact, OrderRow

MinorUnits = Annotated[int, Field(description="Minor units of the currency (cents).", examples=[1250])]
Code = Annotated[str, Field(description="ISO 4217 code.", examples=["EUR"])]
Time = Annotated[str, Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})]
Id = Annotated[str, Field(examples=["ord_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f"])]


def _told(pattern: re.Pattern[str] | None = None, **bounds: int | str) -> dict[str, Any]:
    """For the document alone. JSON Schema looks for a pattern anywhere in the text; the domain's is the whole of it."""
    return {**bounds, **({"pattern": f"^{pattern.pattern}$"} if pattern is not None else {})}


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, hide_input_in_errors=True)


class ItemBody(Body):
    sku: str = Field(examples=["book"], json_schema_extra=_told(SKU))
    quantity: int = Field(examples=[2], json_schema_extra=_told(minimum=1, maximum=MAX_QUANTITY))
    unit_price: MinorUnits = Field(json_schema_extra=_told(minimum=0, maximum=MAX_AMOUNT))
    currency: str | None = Field(default=None, description="The order's, where it is given at all.", examples=["EUR"])

    def to_item(self, order_currency: str) -> Item:
        """Raises InvalidSku, InvalidQuantity, InvalidPrice, CurrencyMismatch."""
        check_currency(order_currency if self.currency is None else self.currency, order_currency)
        return Item(self.sku, self.quantity, self.unit_price)


def _not_too_many(items: Any) -> Any:
    """How many there are is known before any of them is looked at."""
    if isinstance(items, list):
        check_count(len(items))
    return items


class PlaceOrderBody(Body):
    customer_id: str = Field(examples=["cus_1"], json_schema_extra=_told(CUSTOMER))
    currency: Code = Field(json_schema_extra=_told(re.compile("[A-Z]{3}")))
    items: Annotated[list[ItemBody], BeforeValidator(_not_too_many)] = Field(
        json_schema_extra=_told(minItems=1, maxItems=MAX_ITEMS)
    )
    payment_token: str = Field(repr=False, examples=["tok_ok"], json_schema_extra=_told(TOKEN))

    def to_items(self) -> Iterator[Item]:
        """Raises what `to_item` raises, with where it is."""
        for number, each in enumerate(self.items):
            try:
                yield each.to_item(self.currency)
            except CortexError as error:
                error.details["pointer"] = f"#/items/{number}"
                raise


class CancelBody(Body):
    """Nothing, so far: there is one way to call an order off."""


class View(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PlacedView(View):
    """A new order."""

    order_id: Id
    status: Status
    total: MinorUnits
    currency: Code
    version: int
    created_at: Time

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls(
            order_id=order.id,
            status=order.status,
            total=order.total.amount,
            currency=order.total.currency,
            version=order.version,
            created_at=rfc3339(order.created_at),
        )


class OrderView(View):
    """An order as it stands. `reason` is there where it failed."""

    order_id: Id
    customer_id: str
    status: Status
    total: MinorUnits
    currency: Code
    version: int
    created_at: Time
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None, examples=["declined"])

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls(
            order_id=order.id,
            customer_id=order.customer_id.value,
            status=order.status,
            total=order.total.amount,
            currency=order.total.currency,
            version=order.version,
            created_at=rfc3339(order.created_at),
            reason=order.reason,
        )

    @classmethod
    def of_row(cls, row: OrderRow) -> Self:
        return cls(
            order_id=row.order_id,
            customer_id=row.customer_id,
            status=row.status,
            total=row.total,
            currency=row.currency,
            version=row.version,
            created_at=rfc3339(row.created_at),
            reason=row.reason,
        )


class EventView(View):
    """Something that has happened to an order. `traceId` is of the request, or of the work, that made it happen."""

    type: str = Field(examples=["order.created"])
    version: int = Field(description="The order's, from then on.", examples=[1])
    time: Time
    trace_id: str | None = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    data: dict[str, Any]

    @classmethod
    def of(cls, fact: Fact) -> Self:
        return cls(
            type=fact.type,
            version=fact.version,
            time=rfc3339(fact.time),
            trace_id=fact.trace_id,
            data=dict(fact.data),
        )


class EventsView(View):
    """The oldest first. Fewer than `limit`: there are no more, so far."""

    events: list[EventView]


class OrdersView(View):
    """One page. `nextCursor` is null on the last."""

    orders: list[OrderView]
    next_cursor: str | None
