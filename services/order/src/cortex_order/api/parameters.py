"""What the routes are given beside a body: path, query and headers, as types that say what they take."""

from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query, Request
from pydantic import BeforeValidator, Field

from cortex_core.chassis import use_cases
from cortex_order.api.idempotency import KEY_PATTERN, MAX_KEY, idempotency_key
from cortex_order.api.preconditions import CONDITION_PATTERN, wanted_versions
from cortex_order.domain import Status
from cortex_order.usecases import UseCases

UseCasesDep = Annotated[UseCases, Depends(use_cases)]

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


def _unless_empty(default: Any) -> BeforeValidator:
    """`?status=` is as good as no status."""
    return BeforeValidator(lambda value: default if value == "" else value)


# The bounds before the validator: pydantic would write those behind it into the document as `ge` and `le`.
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
After = Annotated[int, Field(ge=0)]
Version = Annotated[int, Field(ge=1)]

OrderIdPath = Annotated[str, Path(alias="orderId", examples=["ord_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f"])]
StatusQuery = Annotated[Status | None, _unless_empty(None), Query(description="Only orders that stand so.")]
LimitQuery = Annotated[Limit, _unless_empty(DEFAULT_LIMIT), Query(description="Orders a page.")]
CursorQuery = Annotated[
    str | None,
    Query(description="`nextCursor` of the page before.", json_schema_extra={"pattern": "^([A-Za-z0-9_-]{32})?$"}),
]
EventLimitQuery = Annotated[Limit, _unless_empty(MAX_LIMIT), Query(description="Events at most.")]
AfterQuery = Annotated[After, _unless_empty(0), Query(description="The version of the last event already known.")]
VersionQuery = Annotated[
    Version | None, _unless_empty(None), Query(description="As it stood at this version; absent, as it stands.")
]


# Headers are read as the lines they came in, since a line too many means something else in each of them; the parameter
# that FastAPI sees is for the document.
def _key(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description=f"The sender's name for this request: 1 to {MAX_KEY} visible ASCII characters, bare or as a "
            "structured string (draft-ietf-httpapi-idempotency-key-header).",
            examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
            json_schema_extra={"pattern": KEY_PATTERN},
        ),
    ] = None,
) -> str | None:
    return idempotency_key(request.headers.getlist("idempotency-key"))


def _if_match(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="Entity tags of the order, or `*`.",
            examples=['"v1"'],
            json_schema_extra={"pattern": CONDITION_PATTERN},
        ),
    ] = None,
) -> frozenset[int] | None:
    return wanted_versions(request.headers.getlist("if-match"))


def _if_none_match(
    request: Request,
    _: Annotated[
        str | None, Header(alias="If-None-Match", description="Entity tags that are known.", examples=['"v3"'])
    ] = None,
) -> list[str]:
    return request.headers.getlist("if-none-match")


IdempotencyKey = Annotated[str | None, Depends(_key)]
IfMatch = Annotated[frozenset[int] | None, Depends(_if_match)]
IfNoneMatch = Annotated[list[str], Depends(_if_none_match)]
