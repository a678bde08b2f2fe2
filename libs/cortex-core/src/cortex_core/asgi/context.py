"""Request context: what the headers say of the request's surroundings becomes the kernel's context.

Owns `X-Request-Id` (in where it is safe to repeat, made anew otherwise, out always), `traceparent`,
`X-Request-Deadline` (milliseconds left) and, where the caller is trusted to say it, `X-Cortex-Tenant`. Nothing here can
refuse a request: a header that makes no sense is as good as none.
"""

import re
import time
from collections.abc import Callable

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send, header
from cortex_core.kernel.context import DEFAULT_TENANT, Context, TraceContext, use_context
from cortex_core.kernel.ids import new_id

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class RequestContext:
    """`trust_tenant`: take the tenant from the header. Only right where nobody but our own services can connect."""

    def __init__(
        self, app: ASGIApp, *, trust_tenant: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self.trust_tenant = trust_tenant
        self.monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        context = self._context(scope)
        request_id = (context.request_id or "").encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        with use_context(context):
            await self.app(scope, receive, send_with_id)

    def _context(self, scope: Scope) -> Context:
        headers = scope["headers"]
        request_id = header(headers, b"x-request-id")
        tenant = header(headers, b"x-cortex-tenant") if self.trust_tenant else None
        left = header(headers, b"x-request-deadline")
        return Context(
            trace=TraceContext.parse(header(headers, b"traceparent"), header(headers, b"tracestate") or ""),
            tenant=tenant if tenant and _TENANT.fullmatch(tenant) else DEFAULT_TENANT,
            request_id=request_id if request_id and _SAFE_ID.fullmatch(request_id) else new_id("req"),
            deadline=self.monotonic() + int(left) / 1000 if left and _MILLISECONDS.fullmatch(left) else None,
        )
