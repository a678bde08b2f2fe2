"""What the gateway keeps of answers: which, for how long, under which tags, and what makes them go.

All of it comes from the route table. Owns this replica's store; the cache in the application and the hot answers of the
express lane are two views of it. A tag names what is kept of one path, with any query and in any variant
(`/api/orders/{orderId} ord_1`), or of all of a template without parameters.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from cortex_core.asgi.http_cache import CachePolicy, CacheRule, MemoryCacheStore, tag_key
from cortex_core.asgi.types import Scope
from cortex_core.kernel import Clock
from cortex_gateway.routes import PREFIX, MethodNotAllowed, Route, RouteNotFound, RouteTable

_NAME: Final = "cortex-gateway"
_ORIGIN: Final = "http://cortex-gateway"  # one, whatever `Host` says: no answer of a cached route depends on it
_MOST_KNOWN: Final = 1024  # tenants' paths without parameters, whose tags are always the same
_OF_NOW: Final = ("/health", "/metrics", "/docs", PREFIX)  # of this moment, or with a nonce, or not in the table


class KeptAnswers:
    """Implements `ports.KeptAnswers`. `max_bytes` 0: nothing is kept."""

    def __init__(self, table: RouteTable, max_bytes: int, *, clock: Clock) -> None:
        self._table = table
        self._routes = [route for route, _ in table.cached]
        self._literal = frozenset(template for template, _ in table if "{" not in template)
        self.store = MemoryCacheStore(max_bytes, clock=clock) if max_bytes else None
        self.policy = CachePolicy(name=_NAME, origin=_ORIGIN, rules=[*_rules(table)], date=False)
        read = frozenset({self.policy.tag_header.encode()})
        self.withheld = read if self.store is None else frozenset()  # else the cache reads them, and takes them out
        self.on_purged: Callable[[int], None] | None = None
        self._known: dict[tuple[str, str], list[str]] = {}

    def purge(self, tenant: str, tags: list[str]) -> int:
        """What is kept of `tenant` under `tags` goes, and what was asked for before is not kept; how many addresses."""
        return self._purge([tag_key(tenant, tag) for tag in tags])

    def _purge(self, tags: list[str]) -> int:
        if self.store is None:
            return 0
        count = self.store.purge(tags=tags)
        if self.on_purged is not None and count:
            self.on_purged(count)
        return count

    def heard(self, tenant: str, event: str, subject: str) -> int:
        """An event of this type, about this subject."""
        tags = [tag_of(r, subject) for r in self._routes if r.caching is not None and event in r.caching.purged_by]
        return self.purge(tenant, tags)

    def changed(self, tenant: str, method: str, path: str) -> int:
        """An unsafe request was answered with success: before its client hears of that, here."""
        if path not in self._literal:
            return self.purge(tenant, self.changed_by(method, path))
        tags = self._known.get((tenant, f"{method} {path}"))
        if tags is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            tags = [tag_key(tenant, tag) for tag in self.changed_by(method, path)]
            self._known[tenant, f"{method} {path}"] = tags
        return self._purge(tags)

    def changed_by(self, method: str, path: str) -> list[str]:
        """The tags of what an unsafe request for the decoded `path` may have changed: what is below the same first
        parameter, and the templates beside it that have none."""
        try:
            route, values = self._table.match(method, path)
        except (RouteNotFound, MethodNotAllowed):
            return []
        beside = [other for other in self._routes if _place(other) == _place(route)]
        return [tag_of(other, *values[:1]) for other in beside if values or not _has_parameter(other)]

    def tags_of(self, scope: Scope) -> list[str]:
        """`asgi.http_cache.Tags`: those of the answer to a GET."""
        try:
            route, values = self._table.match("GET", scope["path"])
        except (RouteNotFound, MethodNotAllowed):
            return []
        return [tag_of(route, *values[:1])]

    def changes_of(self, scope: Scope) -> list[str]:
        """The same of what a successful unsafe request may have changed."""
        return self.changed_by(scope["method"], scope["path"])


def tag_of(route: Route, *subject: str) -> str:
    """A template without parameters has one tag, whatever the subject."""
    return f"{route.path} {subject[0]}" if subject and _has_parameter(route) else route.path


def _has_parameter(route: Route) -> bool:
    return "{" in route.path


def _place(route: Route) -> tuple[str, str]:
    return route.service, route.path.partition("{")[0].rstrip("/")


def _rules(table: RouteTable) -> Iterator[CacheRule]:
    for route, pattern in table.cached:
        caching = route.caching
        if caching is not None:
            prefix = route.path.partition("{")[0].rstrip("/")
            yield CacheRule(prefix, matches=_whose(pattern), ttl=caching.ttl, surrogate=True, authorised=True)
    yield from (CacheRule(prefix, bypass=True) for prefix in _OF_NOW)


def _whose(pattern: re.Pattern[str]) -> Callable[[Scope], bool]:
    return lambda scope: pattern.fullmatch(scope["path"]) is not None
