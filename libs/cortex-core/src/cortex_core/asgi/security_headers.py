"""Security headers: what browsers are told beside the content, on every answer, encoded before the first request.

Owns when they are sent: by path, HSTS only where the connection is TLS, a new nonce a response where a policy has one.
What the application says itself under one of these names stays: who is nearer to the content knows more of it, and the
gateway does not put a second policy on what a service sent. Refuses to touch sockets. What they say: header_policy.py.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from cortex_core.asgi.csp import new_nonce
from cortex_core.asgi.header_policy import HeaderPolicy
from cortex_core.asgi.prefixes import Prefixes
from cortex_core.asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send

NONCE: Final = "cortex.csp_nonce"
"""Where in the scope a page finds its nonce (text), where its policy has one."""

_Fields = list[tuple[bytes, bytes]]

REVEALING: Final = frozenset({b"server", b"x-powered-by", b"x-aspnet-version", b"x-aspnetmvc-version"})
"""They tell an attacker what to look up, and nobody else anything."""

_ANSWERS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_SECURE: Final = frozenset({"https", "wss"})


def fixed_fields(policy: HeaderPolicy, *, secure: bool) -> list[tuple[bytes, bytes]]:
    """What every answer under `policy` says, for whoever answers without this middleware. Raises ValueError for one
    with a nonce, which no two answers share."""
    prepared = _prepare(policy)
    if prepared.nonced:
        raise ValueError("a policy with a nonce has no fixed fields")
    return prepared.secure if secure else prepared.plain


class SecurityHeaders:
    """`policy` holds everywhere but under the path prefixes of `routes` (whole segments, the longest decides).

    A WebSocket's refusal is an answer like any other. HSTS goes out where the scope's scheme is `https` or `wss`, or
    everywhere with `tls_in_front=True`: somebody before us takes TLS off and we do not see it. `override=True`: our
    headers replace the application's of the same name, for an application that is not trusted to set them. `REVEALING`
    headers of the application are removed either way (the server's own `Server` is the server's to turn off:
    `server_header=False`).

    A page that carries a nonce must not be stored: send it with `Cache-Control: no-store`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: HeaderPolicy | None = None,
        routes: Mapping[str, HeaderPolicy] | None = None,
        tls_in_front: bool = False,
        override: bool = False,
    ) -> None:
        self.app = app
        self.tls_in_front = tls_in_front
        self.override = override
        self._prepared = Prefixes(
            {prefix: _prepare(each) for prefix, each in (routes or {}).items()}, _prepare(policy or HeaderPolicy())
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        prepared = self._prepared.of(scope["path"])
        ours = prepared.secure if self.tls_in_front or scope.get("scheme") in _SECURE else prepared.plain
        if prepared.nonced:
            scope[NONCE] = nonce = new_nonce()
            raw = nonce.encode()
            ours = [*ours, *[(name, raw.join(parts)) for name, parts in prepared.nonced]]

        def sending(message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
            if message["type"] in _ANSWERS:
                message = {**message, "headers": self._merged(message.get("headers") or (), prepared.names, ours)}
            return send(message)

        await self.app(scope, receive, sending)

    def _merged(self, theirs: Headers, names: frozenset[bytes], ours: _Fields) -> _Fields:
        theirs = list(theirs)
        said = {name.lower() for name, _ in theirs}
        if said.isdisjoint(names):
            return theirs + ours
        if self.override:
            return [each for each in theirs if each[0].lower() not in names] + ours
        kept = [each for each in theirs if each[0].lower() not in REVEALING]
        return kept + [each for each in ours if each[0] not in said]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A policy, encoded. `nonced`: a header's name, and the parts between which the nonce goes. `names`: those whose
    presence in an answer needs a second look."""

    plain: _Fields
    secure: _Fields
    nonced: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    names: frozenset[bytes]


def _prepare(policy: HeaderPolicy) -> _Prepared:
    fixed = {each.name: each.render() for each in policy.policies if not each.uses_nonce}
    plain = [*fixed.items(), *policy.headers().items()]
    hsts = [] if policy.hsts is None else [(b"strict-transport-security", str(policy.hsts).encode())]
    nonced = tuple((each.name, each.parts) for each in policy.policies if each.uses_nonce)
    names = REVEALING | {name for name, _ in [*plain, *hsts, *nonced]}
    return _Prepared(plain, plain + hsts, nonced, names)
