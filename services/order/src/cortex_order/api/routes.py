"""The routes: each translates, and only that."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BeforeValidator, Field

from cortex_core.chassis import problems, use_cases
from cortex_order.api.cursor import InvalidCursor, cursor_of, parse_cursor
from cortex_order.api.models import OrdersView, OrderView, PlacedView, PlaceOrderBody
from cortex_order.domain import (
    AmountOutOfBounds,
    CustomerId,
    EmptyOrder,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    OrderNotFound,
    PaymentToken,
    Status,
    TooManyItems,
    UnknownCurrency,
    order_id,
)
from cortex_order.usecases import UseCases

UseCasesDep = Annotated[UseCases, Depends(use_cases)]

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


def _unless_empty(default: Any) -> BeforeValidator:
    """`?status=` is as good as no status."""
    return BeforeValidator(lambda value: default if value == "" else value)


StatusQuery = Annotated[Status | None, _unless_empty(None), Query(description="Only orders that stand so.")]
# The bounds before the validator: pydantic would write those behind it into the document as `ge` and `le`.
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
LimitQuery = Annotated[Limit, _unless_empty(DEFAULT_LIMIT), Query(description="Orders a page.")]
CursorQuery = Annotated[str | None, Query(description="`nextCursor` of the page before.")]
OrderIdPath = Annotated[str, Path(alias="orderId", examples=["ord_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f"])]

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post(
    "",
    status_code=201,
    summary="Place an order",
    response_description="Durable; its payment is taken next. `Location` is relative to the collection's parent.",
    responses=problems(
        EmptyOrder,
        TooManyItems,
        InvalidSku,
        InvalidQuantity,
        InvalidPrice,
        UnknownCurrency,
        AmountOutOfBounds,
        InvalidCustomerId,
        InvalidPaymentToken,
    ),
)
async def place_order(body: PlaceOrderBody, use: UseCasesDep, reply: Response) -> PlacedView:
    order = await use.place(
        CustomerId(body.customer_id), list(body.to_items()), body.currency, PaymentToken(body.payment_token)
    )
    reply.headers["Location"] = f"orders/{order.id}"  # relative: right with and without the gateway's /api
    return PlacedView.of(order)


@router.get("/{orderId}", summary="One order as it stands", responses=problems(OrderNotFound))
async def get_order(id_: OrderIdPath, use: UseCasesDep) -> OrderView:
    return OrderView.of(await use.get(order_id(id_)))


@router.get("", summary="Orders, the newest first", responses=problems(InvalidCursor))
async def list_orders(
    use: UseCasesDep, status: StatusQuery = None, limit: LimitQuery = DEFAULT_LIMIT, cursor: CursorQuery = None
) -> OrdersView:
    after = parse_cursor(cursor, status) if cursor else None
    page = await use.listing(status=status, limit=limit, after=after)
    return OrdersView(
        orders=[OrderView.of_row(row) for row in page.rows],
        next_cursor=cursor_of(page.after, status) if page.after else None,
    )
