"""CORS (https://fetch.spec.whatwg.org/#http-cors-protocol): which other origins' pages may read our answers.

Owns preflights, which are answered here and go no further, and the headers on everything else, whoever answers: place
it outside of whatever refuses (authentication, limits, errors), so that a page is shown a 401 or a 429 as well. Refuses
to protect anything: an origin that is not allowed is answered like a caller without one, and its browser keeps that
from it.
"""

import re
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.compression.rules import listed
from cortex_core.asgi.problems import refuse
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send, all_of, header
from cortex_core.kernel.errors import CortexError, Kind

Fields = list[tuple[bytes, bytes]]

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_DEFAULT_PORTS: Final = (("http://", ":80"), ("https://", ":443"))
ANY: Final = "*"


class OriginNotAllowed(CortexError):
    """A preflight of a page whose origin is not among those that may ask."""

    code, kind = "cors.origin-not-allowed", Kind.FORBIDDEN

    def __init__(self) -> None:
        super().__init__("pages of this origin may not ask here")


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """`origins` as browsers write them (`https://app.example`, exactly), or `*` alone. `methods` and `headers` are what
    a page may ask with, `exposed` the headers it may read, `max_age` how many seconds a browser may remember that.
    `credentials`: cookies and the like are sent along. Raises ValueError, which names the mistake.
    """

    origins: Collection[str]
    methods: Sequence[str] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    headers: Sequence[str] = ()
    exposed: Sequence[str] = ()
    max_age: int = 600
    credentials: bool = False
    _allowed: frozenset[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.origins:
            raise ValueError("origins must name one at least")
        if ANY in self.origins and (self.credentials or len(self.origins) > 1):
            raise ValueError("origins: * stands alone, and not with credentials")
        for origin in self.origins:
            if origin != ANY:
                _check(origin)
        for name in (*self.methods, *self.headers, *self.exposed):
            if not _TOKEN.fullmatch(name) or (self.credentials and name == ANY):
                raise ValueError(f"{name!r} is no method or header that can be allowed")
        check_whole("max_age", self.max_age, least=0, unit="seconds")
        object.__setattr__(self, "_allowed", frozenset(origin.encode() for origin in self.origins))

    @property
    def varies(self) -> bool:
        """Whether answers differ by who asks, so that every one of them says `Vary: Origin`."""
        return ANY not in self.origins

    def allows(self, origin: bytes) -> bool:
        return not self.varies or origin in self._allowed

    def granted(self, origin: bytes) -> Fields:
        """What an allowed origin is told on every answer."""
        fields = [(b"access-control-allow-origin", origin if self.varies else b"*")]
        if self.credentials:
            fields.append((b"access-control-allow-credentials", b"true"))
        return fields


class Cors:
    """The ASGI middleware."""

    def __init__(self, app: ASGIApp, policy: CorsPolicy) -> None:
        self.app = app
        self.policy = policy
        self._preflight: Fields = [
            (b"access-control-allow-methods", ", ".join(policy.methods).encode()),
            (b"access-control-max-age", b"%d" % policy.max_age),
        ]
        if policy.headers:
            self._preflight.append((b"access-control-allow-headers", ", ".join(policy.headers).encode()))
        self._exposed: Fields = (
            [(b"access-control-expose-headers", ", ".join(policy.exposed).encode())] if policy.exposed else []
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        origins = all_of(scope["headers"], b"origin")
        origin = origins[0].encode("latin-1") if len(origins) == 1 else None
        allowed = origin is not None and self.policy.allows(origin)
        granted = self.policy.granted(origin) if origin is not None and allowed else []
        if origin is not None and _is_preflight(scope):
            if not allowed:
                return await refuse(OriginNotAllowed(), scope, receive, self._with(send, []))
            told = self._with(send, granted + self._preflight)
            await told({"type": "http.response.start", "status": 204, "headers": []})
            return await told({"type": "http.response.body", "body": b""})
        await self.app(scope, receive, self._with(send, granted + self._exposed if granted else []))

    def _with(self, send: Send, granted: Fields) -> Send:
        if not granted and not self.policy.varies:
            return send

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                fields = [each for each in message.get("headers", ()) if not each[0].startswith(b"access-control-")]
                if self.policy.varies:
                    fields = varied_by_origin(fields)
                message = {**message, "headers": fields + granted}
            return send(message)

        return sending


def varied_by_origin(fields: Fields) -> Fields:
    """With `Vary: Origin`, in one line with what it varied by before."""
    said = [value for name, value in fields if name.lower() == b"vary"]
    known = [element for value in said for element in listed(value)]
    if b"origin" in known or b"*" in known:
        return fields
    kept = [each for each in fields if each[0].lower() != b"vary"]
    return [*kept, (b"vary", b", ".join([*(value for value in said if value.strip()), b"Origin"]))]


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and header(scope["headers"], b"access-control-request-method") is not None


def _check(origin: str) -> None:
    ends_in_default = any(origin.startswith(scheme) and origin.endswith(port) for scheme, port in _DEFAULT_PORTS)
    if not _ORIGIN.fullmatch(origin) or ends_in_default:
        raise ValueError(
            f"{origin!r} is no origin as browsers write it: scheme and host in lower case, port if not 80/443"
        )
