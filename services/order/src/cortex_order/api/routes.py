"""The routes: each translates, and only that. What they take is in `parameters.py`, what they say in `models.py`."""

from typing import Any, Final

from fastapi import APIRouter, Response

from cortex_core.actors import ActorStopped, AskTimeout, MailboxFull, SystemDraining, TooManyActive
from cortex_core.chassis import (
    DuplicateMember,
    MalformedJson,
    StrictRoute,
    UnsupportedMediaType,
    problems,
    requires,
)
from cortex_core.eventsourcing import CorruptEvent, EventStoreUnavailable, StaleVersion
from cortex_order.api.cursor import InvalidCursor, cursor_of, parse_cursor
from cortex_order.api.idempotency import InvalidKey
from cortex_order.api.models import CancelBody, EventsView, EventView, OrdersView, OrderView, PlacedView, PlaceOrderBody
from cortex_order.api.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AfterQuery,
    CursorQuery,
    EventLimitQuery,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    LimitQuery,
    OrderIdPath,
    StatusQuery,
    UseCasesDep,
    VersionQuery,
)
from cortex_order.api.preconditions import InvalidPrecondition, etag, has_it
from cortex_order.domain import (
    AmountOutOfBounds,
    CurrencyMismatch,
    CustomerId,
    EmptyOrder,
    IllegalTransition,
    InvalidCustomerId,
    InvalidPaymentToken,
    InvalidPrice,
    InvalidQuantity,
    InvalidSku,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    StaleOrder,
    TooManyItems,
    UnknownCurrency,
    VersionNotFound,
    order_id,
)
from cortex_order.usecases import KeyInProgress, KeyReused, Placed, UseCases

OF_NOW: Final = "private, no-cache"  # whose order it is the URL does not say; and it may change at any moment
FOR_GOOD: Final = "private, max-age=31536000, immutable"

_ETAG: Final = {"description": "The order's version, a strong validator.", "schema": {"type": "string"}}
_TEXT: Final = {"schema": {"type": "string"}}
_LISTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "X-Cortex-Behind": {
                "description": "How many events the list does not show yet. Absent where it shows all.",
                "schema": {"type": "integer"},
            }
        }
    }
}
_PLACED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "Durable; its payment is taken next. `Location` is relative to the collection's parent.",
        "headers": {
            "Location": _TEXT,
            "ETag": _ETAG,
            "Idempotency-Replayed": {
                "description": "There, and `true`, where an earlier request with this key placed the order.",
                "schema": {"type": "string", "enum": ["true"]},
            },
        },
    }
}
_SHOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The order.", "headers": {"ETag": _ETAG, "Cache-Control": _TEXT}},
    304: {"description": "`If-None-Match` names this version.", "headers": {"ETag": _ETAG, "Cache-Control": _TEXT}},
}
_CANCELLED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Called off, now or before.", "headers": {"ETag": _ETAG, "Content-Location": _TEXT}}
}

_ALWAYS: Final = (EventStoreUnavailable, CorruptEvent)  # what the database may say to whatever is asked of it
# What an order's actor may say to a command. Of one that timed out it is not known whether it was carried out: a key,
# or asking for the order, tells.
_COMMANDED: Final = (*_ALWAYS, MailboxFull, TooManyActive, SystemDraining, ActorStopped, AskTimeout)

router = APIRouter(prefix="/orders", tags=["orders"], route_class=StrictRoute)


@router.post(
    "",
    dependencies=[requires("orders:write")],
    status_code=201,
    summary="Place an order",
    responses=_PLACED
    | problems(
        MalformedJson,
        DuplicateMember,
        InvalidKey,
        KeyInProgress,
        KeyReused,
        UnsupportedMediaType,
        EmptyOrder,
        TooManyItems,
        InvalidSku,
        InvalidQuantity,
        InvalidPrice,
        UnknownCurrency,
        CurrencyMismatch,
        AmountOutOfBounds,
        InvalidCustomerId,
        InvalidPaymentToken,
        *_COMMANDED,
    ),
)
async def place_order(body: PlaceOrderBody, key: IdempotencyKey, use: UseCasesDep, reply: Response) -> PlacedView:
    """With an `Idempotency-Key` it is safe to ask again: the order is placed once, and the answer is the same."""
    placed = await _placed(body, key, use)
    reply.headers["Location"] = f"orders/{placed.order.id}"  # relative: right with and without the gateway's /api
    reply.headers["ETag"] = etag(placed.order.version)
    if placed.replayed:
        reply.headers["Idempotency-Replayed"] = "true"
    return PlacedView.of(placed.order)


@router.get(
    "/{orderId}",
    dependencies=[requires("orders:read")],
    summary="One order as it stands, or stood",
    response_model=OrderView,
    responses=_SHOWN | problems(OrderNotFound, VersionNotFound, *_ALWAYS),
)
async def get_order(
    id_: OrderIdPath, use: UseCasesDep, reply: Response, if_none_match: IfNoneMatch, version: VersionQuery = None
) -> Any:
    order = await _order(order_id(id_), version, use)
    headers = {"ETag": etag(order.version), "Cache-Control": OF_NOW if version is None else FOR_GOOD}
    if has_it(if_none_match, order.version):
        return Response(status_code=304, headers=headers)
    reply.headers.update(headers)
    return OrderView.of(order)


@router.get(
    "/{orderId}/events",
    dependencies=[requires("orders:read")],
    summary="What has happened to an order",
    responses=problems(OrderNotFound, *_ALWAYS),
)
async def get_events(
    id_: OrderIdPath, use: UseCasesDep, after: AfterQuery = 0, limit: EventLimitQuery = MAX_LIMIT
) -> EventsView:
    facts = await use.history(order_id(id_), after=after, limit=limit)
    return EventsView(events=[EventView.of(fact) for fact in facts])


@router.post(
    "/{orderId}/cancel",
    dependencies=[requires("orders:write")],
    summary="Call an order off",
    responses=_CANCELLED
    | problems(
        MalformedJson,
        DuplicateMember,
        InvalidPrecondition,
        OrderNotFound,
        IllegalTransition,
        StaleVersion,
        StaleOrder,
        UnsupportedMediaType,
        *_COMMANDED,
    ),
)
async def cancel_order(
    id_: OrderIdPath,
    wanted: IfMatch,
    use: UseCasesDep,
    reply: Response,
    body: CancelBody | None = None,  # noqa: ARG001 - that it is empty has been checked, and that is all there is to it
) -> OrderView:
    """Asking twice is asking once. With `If-Match`, only the order that the client has seen."""
    id_ = order_id(id_)
    order = await use.cancel(id_, if_version=await _expected(id_, wanted, use))
    reply.headers["ETag"] = etag(order.version)
    reply.headers["Content-Location"] = f"../{order.id}"
    return OrderView.of(order)


@router.get(
    "",
    dependencies=[requires("orders:read")],
    summary="Orders, the newest first",
    responses={**_LISTED, **problems(InvalidCursor, EventStoreUnavailable)},
)
async def list_orders(
    use: UseCasesDep,
    reply: Response,
    status: StatusQuery = None,
    limit: LimitQuery = DEFAULT_LIMIT,
    cursor: CursorQuery = None,
) -> OrdersView:
    """With all that was acknowledged before; where the list cannot follow in time, `X-Cortex-Behind` says so."""
    after = parse_cursor(cursor, status) if cursor else None
    page = await use.listing(status=status, limit=limit, after=after)
    if page.behind:
        reply.headers["X-Cortex-Behind"] = str(page.behind)
    return OrdersView(
        orders=[OrderView.of_row(row) for row in page.rows],
        next_cursor=cursor_of(page.after, status) if page.after else None,
    )


async def _placed(body: PlaceOrderBody, key: str | None, use: UseCases) -> Placed:
    customer, items, token = CustomerId(body.customer_id), list(body.to_items()), PaymentToken(body.payment_token)
    if key is None:
        return Placed(await use.place(customer, items, body.currency, token), replayed=False)
    return await use.place_once(key, customer, items, body.currency, token)


async def _order(id_: OrderId, version: int | None, use: UseCases) -> Order:
    return await (use.get(id_) if version is None else use.get_at(id_, version))


async def _expected(id_: OrderId, wanted: frozenset[int] | None, use: UseCases) -> int | None:
    """The one version that the order may be at. Of several the one it is at, held fast: it is compared once more where
    the order is changed. Raises StaleOrder, OrderNotFound."""
    if wanted is None or len(wanted) == 1:
        return next(iter(wanted or ()), None)
    order = await use.get(id_)
    if order.version not in wanted:
        raise StaleOrder(order.id, order.version)
    return order.version
