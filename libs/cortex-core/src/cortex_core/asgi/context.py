"""Request context: what the headers say of the request's surroundings becomes the kernel's context.

Owns `X-Request-Id` (in where it is safe to repeat, made anew otherwise, out always), `traceparent`,
`X-Request-Deadline` (milliseconds left), `X-Retry-Budget` (tries, a decimal from 0 to 1) and, where the caller is
trusted to say it, `X-Cortex-Tenant`. Both numbers are what the resilience cog writes: chassis/test_deadline.py holds
the two to each other. A header that makes no sense is as good as none, and so is one that is there twice: nobody knows
which of the two was meant. Only a tenant that is not served here is refused, by `KnownTenant` further in, where an
answer can be given: as nobody's, the work would be the wrong tenant's.
"""

import re
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from cortex_core.asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send
from cortex_core.kernel.context import DEFAULT_TENANT, Context, TraceContext, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id

_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MILLISECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_TRIES: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
_REQUEST_ID: Final = b"x-request-id"
_ASKED: Final = frozenset(
    {_REQUEST_ID, b"traceparent", b"tracestate", b"x-request-deadline", b"x-retry-budget", b"x-cortex-tenant"}
)
_BEGINNINGS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class UnknownTenant(CortexError):
    """`X-Cortex-Tenant` names nobody served here."""

    code, kind = "tenant.unknown", Kind.INVALID


class RequestContext:
    """`tenants` are those that `X-Cortex-Tenant` may name; None: the header is not believed at all. Believe it only
    where nobody but our own services can connect. Every answer carries the request's id, in place of one that the
    application may have set: it is the one that the logs know."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tenants: Collection[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.tenants = tenants
        self.monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        context = self._context(scope)
        request_id = (context.request_id or "").encode()

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] in _BEGINNINGS:
                headers = [each for each in message.get("headers") or () if each[0] != _REQUEST_ID]
                message = {**message, "headers": [*headers, (_REQUEST_ID, request_id)]}
            return send(message)

        with use_context(context):
            await self.app(scope, receive, send_with_id)

    def _context(self, scope: Scope) -> Context:
        said = _Said(scope["headers"])
        request_id = said.once(_REQUEST_ID)
        left = said.once(b"x-request-deadline")
        tries = said.once(b"x-retry-budget")
        return Context(
            trace=TraceContext.parse(said.once(b"traceparent"), ",".join(said.all(b"tracestate"))),
            tenant=self._tenant(said.all(b"x-cortex-tenant"), scope),
            request_id=request_id if request_id and _SAFE_ID.fullmatch(request_id) else new_id("req"),
            deadline=self.monotonic() + int(left) / 1000 if left and _MILLISECONDS.fullmatch(left) else None,
            retry_budget=float(tries) if tries and _TRIES.fullmatch(tries) else None,
        )

    def _tenant(self, named: list[str], scope: Scope) -> str:
        if self.tenants is None or not named:
            return DEFAULT_TENANT
        tenant, *others = set(named)
        if not others and tenant in self.tenants:
            return tenant
        scope["cortex.unknown_tenant"] = None
        return DEFAULT_TENANT


class _Said:
    """What the headers say of what we ask for, read in one pass."""

    def __init__(self, headers: Headers) -> None:
        self._values: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in _ASKED:
                self._values.setdefault(name, []).append(value.decode("latin-1"))

    def all(self, name: bytes) -> list[str]:
        return self._values.get(name, [])

    def once(self, name: bytes) -> str | None:
        values = self.all(name)
        return values[0] if len(values) == 1 else None


class KnownTenant:
    """Raises UnknownTenant where `RequestContext` found a tenant that is not served here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "cortex.unknown_tenant" in scope:
            raise UnknownTenant("the tenant that X-Cortex-Tenant names is not served here")
        await self.app(scope, receive, send)
