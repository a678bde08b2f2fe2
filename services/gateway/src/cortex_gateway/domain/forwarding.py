"""Which headers pass through an intermediary, and which it sets itself (RFC 9110, section 7.6; RFC 7239's forerunners).

Owns what services may believe: whatever a client says about where a request came from, or who sent it, is removed.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from cortex_gateway.domain.provenance import Source

Headers = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
OURS_TO_SAY: Final = frozenset(
    {
        b"host",  # each hop's own
        b"expect",  # our server has answered it
        b"forwarded",
        b"x-real-ip",
        b"traceparent",  # these six go out from the context, which has judged what came in
        b"tracestate",
        b"x-request-id",
        b"x-request-deadline",
        b"x-retry-budget",
        b"x-cortex-tenant",
        b"x-cortex-principal",  # only a token signed by us says who somebody is
    }
)
CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})
"""What a client shows to us. Where we tell the services who asks, it is none of their business."""

ANSWERED_BY_US: Final = frozenset({b"date", b"x-request-id", b"cortex-policy"})
"""Our server and our middleware add them, or nobody does: in production no policy is told, also none of a service's."""

WITHOUT_BODY: Final = frozenset({204, 304})

# RFC 3986: what may stand in a path or a query as it is. `%` is not among the path's: the path is decoded.
_PATH: Final = "/-._~!$&'()*+,;=:@"
_QUERY: Final = _PATH + "?%[]"


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`headers` (names in lower case) without those for this hop alone, among them all that `Connection` names."""
    headers = list(headers)
    named = {option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")}
    drop = HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name not in drop]


def request_headers(
    headers: Headers, *, source: Source, prefix: str, principal: bytes | None = None
) -> list[tuple[bytes, bytes]]:
    """What a service gets to see. `prefix` is what was taken off the path; `principal` the internal token that stands
    in the place of the client's credentials (None: they are passed on)."""
    drop = OURS_TO_SAY if principal is None else OURS_TO_SAY | CREDENTIALS
    kept = [
        (name, value)
        for name, value in end_to_end(headers)
        if name not in drop and not name.startswith(b"x-forwarded-")
    ]
    ours = [
        (b"via", b"1.1 cortex-gateway"),
        (b"forwarded", source.forwarded()),
        (b"x-forwarded-host", source.host),
        (b"x-forwarded-proto", source.scheme.encode()),
    ]
    if principal is not None:
        ours.append((b"x-cortex-principal", principal))
    if source.client is not None:
        ours.append((b"x-forwarded-for", source.client.encode()))
    if prefix:
        ours.append((b"x-forwarded-prefix", prefix.encode()))
    return kept + ours


def response_headers(status: int, headers: Headers) -> list[tuple[bytes, bytes]]:
    """What a client gets to see. `headers` as they came, in any case."""
    lowered = end_to_end((name.lower(), value) for name, value in headers)
    drop = ANSWERED_BY_US | ({b"content-length"} if status in WITHOUT_BODY else frozenset())
    return [(name, value) for name, value in lowered if name not in drop]


def target_of(path: str, query: bytes) -> str:
    """The request target for a decoded `path`: encoded anew, so that the service decodes just what we have matched."""
    encoded = quote(path, safe=_PATH)
    return f"{encoded}?{quote(query, safe=_QUERY)}" if query else encoded
