"""A request's header, read once: what the lane wants to know of it, and what a service gets to see of it.

Owns nothing of the rules: `domain/forwarding.py` says what travels, `asgi/context.py` what the context's headers mean.
Whatever is there twice, malformed, or rare is None here, and the application's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from cortex_core.kernel import TraceContext
from cortex_gateway.domain.forwarding import CREDENTIALS, HOP_BY_HOP, OURS_TO_SAY
from cortex_gateway.domain.provenance import Provenance

Headers = Sequence[tuple[bytes, bytes]]

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,9}")
_TRIES: Final = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_OF_PAGES: Final = (b"origin", b"sec-fetch-site")
_CONNECTION: Final = frozenset({b"keep-alive", b"close"})


class _Rule(Enum):
    """What is done with a header."""

    DROPPED = auto()
    ONCE = auto()  # looked at, and not passed on as it came; twice is unusual
    PASSED = auto()  # looked at, and passed on; twice is unusual
    UNUSUAL = auto()


@dataclass(frozen=True, slots=True)
class Strictness:
    """What makes a request unusual by configuration. `tenants`: a caller may name its tenant; `origins`: CORS is on;
    `credentials`: they go on to the services, because nothing of ours tells who asks; `pages`: who changes something
    may be a page, of which the application judges (`asgi.OwnPages`)."""

    tenants: bool = True
    origins: bool = False
    credentials: bool = True
    pages: bool = True

    def rules(self) -> dict[bytes, _Rule]:
        rules = dict.fromkeys(HOP_BY_HOP | OURS_TO_SAY, _Rule.DROPPED)
        looked_at = (b"traceparent", b"tracestate", b"x-request-id", b"x-request-deadline", b"x-retry-budget", b"host")
        rules |= dict.fromkeys(looked_at, _Rule.ONCE)
        rules |= dict.fromkeys((b"connection", b"content-length", b"transfer-encoding", b"expect"), _Rule.ONCE)
        rules |= {b"accept-encoding": _Rule.PASSED, b"upgrade": _Rule.UNUSUAL}
        rules |= dict.fromkeys((b"if-none-match", b"if-modified-since", b"range"), _Rule.PASSED)
        if self.tenants:
            rules[b"x-cortex-tenant"] = _Rule.UNUSUAL
        if self.pages:
            rules |= dict.fromkeys(_OF_PAGES, _Rule.PASSED)
        if self.origins:
            rules[b"origin"] = _Rule.UNUSUAL
        if not self.credentials:
            rules |= dict.fromkeys(CREDENTIALS, _Rule.DROPPED)
        return rules


class Reading:
    """`headers` as they came; `passed` are the lines for a service that are the same for all requests with these.
    `length` is None for a chunked body, `left` the caller's deadline in milliseconds, `page` where a browser has
    sent it and that matters."""

    __slots__ = (
        "accepts", "bare", "budget", "chunked", "conditional", "dues", "expects", "headers", "held", "left", "length",
        "page", "passed", "plain", "refuses_identity", "request_id",
        "trace",
    )  # fmt: skip

    def __init__(self, headers: Headers, said: Mapping[bytes, bytes], passed: bytes) -> None:
        self.headers = headers
        self.passed = passed
        self.page = b"origin" in said or b"sec-fetch-site" in said
        self.chunked = b"transfer-encoding" in said
        self.length = int(said.get(b"content-length", b"0"))
        self.expects = b"expect" in said
        self.accepts = said.get(b"accept-encoding")
        self.held = said.get(b"if-none-match", b"")
        self.refuses_identity = self.accepts is not None and b"=0" in self.accepts and _may_refuse(self.accepts)
        self.conditional = b"if-none-match" in said or b"if-modified-since" in said
        self.request_id = said.get(b"x-request-id")
        self.left = int(said[b"x-request-deadline"]) if b"x-request-deadline" in said else None
        self.budget = float(said[b"x-retry-budget"]) if b"x-retry-budget" in said else None
        self.trace: TraceContext | None = None
        self.plain: bool | None = None  # filling.py looks once
        self.dues: dict[Any, Any] = {}
        self.bare = self.length == 0 and not self.chunked


class Reader:
    """Reads headers by `strictness`. `scheme` and `client` (address and port) are the connection's."""

    def __init__(self, strictness: Strictness, provenance: Provenance) -> None:
        self._rules = strictness.rules()
        self._provenance = provenance

    def read(self, headers: Headers, *, scheme: str, client: tuple[str, int] | None) -> Reading | None:
        """None: there is something unusual about it."""
        rules = self._rules
        said: dict[bytes, bytes] = {}
        parts: list[bytes] = []
        for name, value in headers:
            rule = rules.get(name)
            if rule is None:
                if not name.startswith(b"x-forwarded-"):
                    parts += (name, b": ", value, b"\r\n")
            elif rule is not _Rule.DROPPED:
                if rule is _Rule.UNUSUAL or name in said:
                    return None
                said[name] = value
                if rule is _Rule.PASSED:
                    parts += (name, b": ", value, b"\r\n")
        if not _is_plain(said):
            return None
        source = self._provenance({"headers": headers, "client": client, "scheme": scheme})
        parts += (b"via: 1.1 cortex-gateway\r\nforwarded: ", source.forwarded(), b"\r\nx-forwarded-host: ", source.host)
        parts += (b"\r\nx-forwarded-proto: ", source.scheme.encode())
        if source.client is not None:
            parts += (b"\r\nx-forwarded-for: ", source.client.encode())
        parts.append(b"\r\nx-forwarded-prefix: /api\r\n")  # every route's: no other is read by a service
        reading = Reading(list(headers), said, b"".join(parts))
        if b"traceparent" in said:
            state = said.get(b"tracestate", b"").decode("latin-1")
            reading.trace = TraceContext.parse(said[b"traceparent"].decode("latin-1"), state)
            if reading.trace is None:
                return None
        return reading


def _is_plain(said: Mapping[bytes, bytes]) -> bool:
    """Whether each of these headers says what it usually says."""
    return (
        said.get(b"connection", b"close").lower() in _CONNECTION
        and said.get(b"transfer-encoding", b"chunked").lower() == b"chunked"
        and not (b"transfer-encoding" in said and b"content-length" in said)
        and said.get(b"expect", b"100-continue").lower() == b"100-continue"
        and _LENGTH.fullmatch(said.get(b"content-length", b"0")) is not None
        and _REQUEST_ID.fullmatch(said.get(b"x-request-id", b"x")) is not None
        and _MILLISECONDS.fullmatch(said.get(b"x-request-deadline", b"1")) is not None
        and _TRIES.fullmatch(said.get(b"x-retry-budget", b"0")) is not None
    )


def _may_refuse(accepted: bytes) -> bool:
    """Whether an answer as it is may not do: 406 is the application's to say."""
    return b"*" in accepted or b"identity" in accepted.lower()
