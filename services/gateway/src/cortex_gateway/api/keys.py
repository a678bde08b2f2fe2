"""`/api/keys`: API keys over HTTP, for who has `keys:admin` in a tenant, and of that tenant alone.

The gateway serves this itself. A secret is in the answer that makes it and nowhere else: nobody may keep that answer.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BeforeValidator, Field
from starlette.routing import Route as StarletteRoute

from cortex_core.asgi.types import Receive, Scope, Send
from cortex_core.chassis import (
    DuplicateMember,
    MalformedJson,
    StrictRoute,
    UnsupportedMediaType,
    problems,
    requires,
    use_cases,
)
from cortex_core.kernel import CortexError, Kind, Principal, current
from cortex_core.security import Unauthenticated
from cortex_core.security.api_keys import (
    MAX_PAGE,
    InvalidKeyRequest,
    KeyChanged,
    KeyDesk,
    KeyNotFound,
    KeyRevoked,
    KeysUnavailable,
    LifeExceeded,
    ScopesExceeded,
    TooManyKeys,
    TooManySecrets,
)
from cortex_core.security.api_keys.issuing import MAX_GRACE
from cortex_gateway.api.key_models import CreateKeyBody, IssuedKeyView, KeysView, KeyView, RotateKeyBody
from cortex_gateway.api.methods import not_served
from cortex_gateway.routes import KEYS, MethodNotAllowed
from cortex_gateway.usecases import UseCases

PATH: Final = KEYS[0].path
BODY_LIMIT: Final = KEYS[0].body_limit
_NOT_KEPT: Final = {"Cache-Control": "no-store"}

_NAMED: Final = Path(alias="keyId", examples=["key_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f"])


class InvalidCursor(CortexError):
    """Not a cursor of this list."""

    code, kind = "key.invalid-cursor", Kind.INVALID

    def __init__(self) -> None:
        super().__init__("this cursor does not belong to this list; begin without one")


class KeysOff(KeysUnavailable):
    """This gateway was not given a pepper, so that there are no keys."""

    def __init__(self) -> None:
        super().__init__("API keys are off here: CORTEX_KEY_PEPPER is not set", retryable=False)


def _desk(use: Annotated[UseCases, Depends(use_cases)]) -> KeyDesk:
    if use.keys is None:
        raise KeysOff
    return use.keys


def _who() -> Principal:
    principal = current().principal
    if principal is None:
        raise Unauthenticated
    return principal


DeskDep = Annotated[KeyDesk, Depends(_desk)]
WhoDep = Annotated[Principal, Depends(_who)]
KeyId = Annotated[str, _NAMED]
LimitQuery = Annotated[
    Annotated[int, Field(ge=1, le=MAX_PAGE)],
    BeforeValidator(lambda value: 20 if value == "" else value),
    Query(description="Keys a page."),
]
CursorQuery = Annotated[
    str | None,
    Query(description="`nextCursor` of the page before.", json_schema_extra={"pattern": "^([A-Za-z0-9_-]{32})?$"}),
]

_READING: Final = (MalformedJson, DuplicateMember, UnsupportedMediaType)
_ADMIN: Final = [requires(KEYS[0].requires)]

router = APIRouter(prefix=PATH, tags=["keys"], route_class=StrictRoute)


@router.post(
    "",
    dependencies=_ADMIN,
    status_code=201,
    summary="Make a key",
    responses=problems(*_READING, InvalidKeyRequest, ScopesExceeded, LifeExceeded, TooManyKeys, KeysUnavailable),
)
async def create_key(body: CreateKeyBody, desk: DeskDep, who: WhoDep, reply: Response) -> IssuedKeyView:
    """Its scopes are some of yours; made with a key that ends, it ends no later. The secret is in this answer and
    nowhere else."""
    issued = await desk.create(who, body.to_wish())
    reply.headers.update(_NOT_KEPT)
    reply.headers["Location"] = f"keys/{issued.key.id}"
    return IssuedKeyView.of_issued(issued, desk)


@router.head("", dependencies=_ADMIN, include_in_schema=False)
@router.get(
    "", dependencies=_ADMIN, summary="Keys, the newest first", responses=problems(InvalidCursor, KeysUnavailable)
)
async def list_keys(
    desk: DeskDep, who: WhoDep, reply: Response, limit: LimitQuery = 20, cursor: CursorQuery = None
) -> KeysView:
    """Those that were revoked among them."""
    before = parse_cursor(cursor, who.tenant) if cursor else None
    found = await desk.page(who, limit=limit, before=before)
    reply.headers.update(_NOT_KEPT)
    more = len(found) == limit
    return KeysView(
        keys=[KeyView.of(key, desk) for key in found],
        next_cursor=cursor_of(found[-1].id, who.tenant) if more else None,
    )


@router.head("/{keyId}", dependencies=_ADMIN, include_in_schema=False)
@router.get("/{keyId}", dependencies=_ADMIN, summary="One key", responses=problems(KeyNotFound, KeysUnavailable))
async def get_key(key_id: KeyId, desk: DeskDep, who: WhoDep, reply: Response) -> KeyView:
    reply.headers.update(_NOT_KEPT)
    return KeyView.of(await desk.get(who, key_id), desk)


@router.delete(
    "/{keyId}", dependencies=_ADMIN, summary="Revoke a key", responses=problems(KeyNotFound, KeysUnavailable)
)
async def revoke_key(key_id: KeyId, desk: DeskDep, who: WhoDep, reply: Response) -> KeyView:
    """For good: nobody is let in with it any more, anywhere, within two seconds. Asking twice is asking once."""
    reply.headers.update(_NOT_KEPT)
    return KeyView.of(await desk.revoke(who, key_id), desk)


@router.post(
    "/{keyId}/rotate",
    dependencies=_ADMIN,
    summary="Give a key another secret",
    responses=problems(
        *_READING,
        InvalidKeyRequest,
        ScopesExceeded,
        LifeExceeded,
        KeyNotFound,
        KeyRevoked,
        KeyChanged,
        TooManySecrets,
        KeysUnavailable,
    ),
)
async def rotate_key(
    key_id: KeyId, desk: DeskDep, who: WhoDep, reply: Response, body: RotateKeyBody | None = None
) -> IssuedKeyView:
    """The old secret holds on for `grace` seconds; so do those before it for what is left of theirs, up to two old ones
    in all. Without a grace all of them end at once. You need the key's scopes yourself."""
    grace = 0 if body is None else min(max(body.grace, -1), MAX_GRACE + 1)
    issued = await desk.rotate(who, key_id, grace=grace)
    reply.headers.update(_NOT_KEPT)
    return IssuedKeyView.of_issued(issued, desk)


class NotServed:
    """Behind our routes, before what is forwarded: these paths are ours, whatever the method."""

    def __init__(self, template: str, allow: Sequence[str]) -> None:
        self._template = template
        self._allow = allow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["cortex.route"] = self._template
        error = MethodNotAllowed(scope["method"], scope["path"], self._template, self._allow)
        await not_served(error, scope)(scope, receive, send)


for _own in KEYS:
    router.routes.append(StarletteRoute(_own.path, NotServed(_own.path, _own.methods), include_in_schema=False))


def cursor_of(key_id: str, tenant: str) -> str:
    """24 bytes, with no bit to spare: the id, and a digest by which a damaged or foreign cursor is noticed. It grants
    nothing: the tenant comes from the request."""
    place = bytes.fromhex(key_id.removeprefix("key_"))
    return base64.urlsafe_b64encode(place + _digest(place, tenant)).decode()


def parse_cursor(cursor: str, tenant: str) -> str:
    """The inverse of `cursor_of`. Raises InvalidCursor."""
    try:
        content = base64.b64decode(cursor, altchars=b"-_", validate=True) if len(cursor) == 32 else b""
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    place, digest = content[:16], content[16:]
    if len(content) != 24 or digest != _digest(place, tenant):
        raise InvalidCursor
    return f"key_{place.hex()}"


def _digest(place: bytes, tenant: str) -> bytes:
    return hashlib.sha256(f"keys/1|{tenant}|".encode() + place).digest()[:8]
