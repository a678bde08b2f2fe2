"""A request as the cache sees it: under which key its answer is looked for, and whether it is looked for at all."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from cortex_core.asgi.http_cache.answer import HeaderList
from cortex_core.asgi.http_cache.directives import NONE, Directives
from cortex_core.asgi.http_cache.fields import Fields, digest, joined, lower_names
from cortex_core.asgi.http_cache.policy import CachePolicy, CacheRule, normal_origin
from cortex_core.asgi.http_cache.reuse import request_directives
from cortex_core.asgi.types import Scope
from cortex_core.kernel.context import current

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OURS: Final = frozenset({"GET", "HEAD"})
_CONDITIONS: Final = (b"if-match", b"if-unmodified-since")  # of whoever holds the current state: not of a cache
_NO_RULE: Final = CacheRule()
_HOST = re.compile(r"((\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(:[0-9]{0,5})?)?", re.ASCII)  # none at all: HTTP/1.0
LONGEST_URL: Final = 8_192  # bytes of path and query: longer ones pass the cache by


@dataclass(frozen=True, slots=True)
class Request:
    """`key` names tenant, origin, path and query, and no method. `wants` are its directives, as far as we honour them.
    `forward` is RFC 9211's reason why the store is not asked, None where it is."""

    method: str
    path: str
    tenant: str
    key: str
    headers: HeaderList
    wants: Directives
    credentials: bool
    rule: CacheRule
    forward: str | None

    def text(self, name: bytes) -> str | None:
        return joined(self.headers, name)

    @classmethod
    def of(cls, scope: Scope, policy: CachePolicy) -> "Request":
        headers = Fields(lower_names(scope["headers"]))
        rule = next((rule for rule in policy.rules if rule.applies(scope)), _NO_RULE)
        context, path, query = current(), _path(scope), _query(scope)
        origin = policy.origin or origin_of(scope, headers)
        known = origin is not None and len(path) + len(query) <= LONGEST_URL
        forward = _unasked(scope["method"], rule, known=known)
        wants = request_directives(headers) if forward is None else NONE
        return cls(
            method=scope["method"],
            path=scope["path"],
            tenant=context.tenant,
            key=key_of(context.tenant, origin or "", path, query),
            headers=headers,
            wants=wants if policy.client_may_refresh else NONE,
            credentials=not rule.authorised
            and ((context.principal is not None and context.principal.named) or _has_any(headers, policy.credentials)),
            rule=rule,
            forward=forward or _forward(headers, wants),
        )


def key_of(tenant: str, origin: str, path: str, query: str) -> str:
    """Different parts never make the same key, whatever characters are in them. Short, whatever their length."""
    return digest(repr((tenant, origin, path, query)))


def origin_of(scope: Scope, headers: HeaderList) -> str | None:
    """`https://api.example` as the request says; None where its `Host` is none, or there are several."""
    host = (joined(headers, b"host") or "").lower()
    return normal_origin(f"{scope.get('scheme', 'http')}://{host}") if _HOST.fullmatch(host) else None


def same_origin_keys(scope: Scope, policy: CachePolicy, tenant: str, references: Iterable[str | None]) -> list[str]:
    """The keys of what `references` (Location, Content-Location) point to, of our own origin only (RFC 9111, 4.4)."""
    own = origin_of(scope, lower_names(scope["headers"])) or policy.origin
    keys = []
    for reference in references:
        if not reference or own is None:
            continue
        try:
            target = urlsplit(urljoin(f"{own}{_path(scope)}", reference))
        except ValueError:
            continue  # no URL: it points to nothing
        if normal_origin(f"{target.scheme}://{target.netloc}") in {own, policy.origin}:
            keys.append(key_of(tenant, policy.origin or own, target.path or "/", target.query))
    return keys


def _unasked(method: str, rule: CacheRule, *, known: bool) -> str | None:
    """What is decided before directives and conditions are read. `known`: the request names what it is about."""
    if method not in _OURS:
        return "method"
    return "bypass" if rule.bypass or not known else None


def _forward(headers: HeaderList, wants: Directives) -> str | None:
    has_body = (
        joined(headers, b"content-length") not in {None, "0"} or joined(headers, b"transfer-encoding") is not None
    )
    if "no-store" in wants or has_body or any(joined(headers, name) is not None for name in _CONDITIONS):
        return "request"
    return None


def _has_any(headers: HeaderList, names: Iterable[str]) -> bool:
    return any(joined(headers, name.encode("latin-1")) is not None for name in names)


def _path(scope: Scope) -> str:
    """As it was sent: `/a%2Fb` and `/a/b` are two things."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(scope["path"], safe="/:@!$&'()*+,;=-._~")


def _query(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return query.decode("latin-1")
