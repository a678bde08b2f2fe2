"""Authentication as ASGI middleware: who asks becomes part of the context, and may be found wanting further in.

`Authentication` refuses nobody: an open route (a probe, the documentation) is anybody's, also who shows a bad
credential. What it found wrong is kept in the scope, and `refusal_of` or `Authorization` raises it where it matters,
within the limiter: failed attempts count there by address.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import replace
from typing import Any, Final

from cortex_core.kernel.context import current, use_context
from cortex_core.kernel.errors import CortexError
from cortex_core.kernel.principal import Principal
from cortex_core.security.authenticator import Authenticator
from cortex_core.security.credentials import AUTHORIZATION, INTERNAL, SUBPROTOCOL_PREFIX, SUBPROTOCOLS
from cortex_core.security.errors import AuthenticationUnavailable, Unauthenticated, authorize

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

REFUSAL: Final = "cortex.refusal"
"""Where in the scope a refusal waits."""

_UNKNOWN_TENANT: Final = "cortex.unknown_tenant"  # asgi.RequestContext's: of what X-Cortex-Tenant said
_MAX_TENANTS: Final = 1024


class Authentication:
    """Sets `principal`, its tenant, and of an internal token the text, in the context. For an anonymous caller the
    tenant stays as `RequestContext` found it. A subprotocol that carries a credential goes no further. `source` says
    where a request comes from: see `Authenticator.authenticate`."""

    def __init__(
        self, app: App, authenticator: Authenticator, source: Callable[[Scope], str | None] = lambda _: None
    ) -> None:
        self.app = app
        self.authenticator = authenticator
        self.source = source
        self._anonymous: dict[str, Principal] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = scope["headers"]
        try:
            principal = self.authenticator.recall(headers)
            if principal is None:
                principal = await self.authenticator.authenticate(headers, self.source(scope))
        except CortexError as refusal:
            scope[REFUSAL] = refusal
            principal = None
        except Exception:  # noqa: BLE001 - whatever ails a store of keys: open routes stay open, others are told 503
            _log.exception("authentication failed")
            scope[REFUSAL] = AuthenticationUnavailable()
            principal = None
        if scope["type"] == "websocket":
            _without_credentials(scope)
        if principal is None:
            with use_context(principal=None):
                return await self.app(scope, receive, send)
        if principal is self.authenticator.anonymous:
            with use_context(principal=self._anonymous_of(current().tenant)):
                return await self.app(scope, receive, send)
        scope.pop(_UNKNOWN_TENANT, None)  # nobody's word, where somebody has a tenant
        token = None if self.authenticator.edge else _internal_token(headers)
        with use_context(principal=principal, tenant=principal.tenant, principal_token=token):
            return await self.app(scope, receive, send)

    def _anonymous_of(self, tenant: str) -> Principal | None:
        """One object a tenant: it is looked up by identity."""
        anonymous = self.authenticator.anonymous
        if anonymous is None or anonymous.tenant == tenant:
            return anonymous
        known = self._anonymous.get(tenant)
        if known is None:
            if len(self._anonymous) >= _MAX_TENANTS:
                self._anonymous.clear()
            known = self._anonymous[tenant] = replace(anonymous, tenant=tenant)
        return known


class Authorization:
    """Raises what stands against a request: of `required(scope)`, the scope that it needs (None: it is anybody's)."""

    def __init__(self, app: App, required: Callable[[Scope], str | None]) -> None:
        self.app = app
        self.required = required

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan" and (wanted := self.required(scope)) is not None:
            admit(scope, wanted)
        await self.app(scope, receive, send)


def admit(scope: Scope, wanted: str) -> Principal:
    """Who asks, if he may. Raises what `Authentication` found wrong; Unauthenticated; Forbidden."""
    refusal = scope.get(REFUSAL)
    if refusal is not None:
        raise refusal
    principal = current().principal
    if principal is None:
        raise Unauthenticated
    authorize(principal, wanted)
    return principal


def _internal_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == INTERNAL), None)


def _without_credentials(scope: Scope) -> None:
    """What a page could only say as a subprotocol goes on as the header that everybody else sends."""
    prefix = SUBPROTOCOL_PREFIX.decode()
    offered = scope.get("subprotocols") or []
    kept = [each for each in offered if not each.startswith(prefix)]
    if len(kept) == len(offered):
        return
    scope["subprotocols"] = kept
    headers = [pair for pair in scope["headers"] if pair[0] != SUBPROTOCOLS]
    shown = next(each.removeprefix(prefix) for each in offered if each.startswith(prefix))
    if not any(name == AUTHORIZATION for name, _ in headers):
        headers.append((AUTHORIZATION, f"Bearer {shown}".encode("latin-1")))
    scope["headers"] = [*headers, (SUBPROTOCOLS, ", ".join(kept).encode())] if kept else headers
