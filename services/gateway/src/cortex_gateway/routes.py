"""The route table: what the gateway forwards, each route once. Adding a route is adding an entry.

Forwarding, the limits of bodies, the metrics' labels and the aggregated OpenAPI document all come from here. A service
serves the same path without `/api`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cortex_core.asgi.types import Scope
from cortex_core.kernel import CortexError, Kind

PREFIX: Final = "/api"
ORDER_EVENTS: Final = (
    *("order.created", "order.state.changed"),
    *("order.completed", "order.failed", "order.cancelled"),
)
MIB: Final = 1 << 20


class Service(StrEnum):
    """Who can be forwarded to. Each has an address in `settings`."""

    ORDER = "order"
    NOTIFICATION = "notification"
    ANALYTICS = "analytics"
    STORAGE = "storage"
    COMPUTE = "compute"


class Rate(StrEnum):
    """Which limit a request counts against."""

    DEFAULT = "default"  # the caller's: of its address, or of its API key's plan
    NONE = "none"  # what machines of ours ask


class Retry(StrEnum):
    """Whether we may send a request a second time where no answer to the first began."""

    IDEMPOTENT = "idempotent"  # RFC 9110, section 9.2.2; without a body; within the retry budget
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Caching:
    """Answers may be kept at the edge for `ttl` seconds, whatever the service says of caches, but for `no-store`: one
    for each tenant, for whoever has the route's scope. An event whose type is in `purged_by` takes away what is kept of
    the path whose first parameter is the event's subject, or of the whole template where it has none.
    """

    ttl: float
    purged_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is the public template; `{name}` stands for one segment. `requires` is the scope that its caller must have
    (None: anybody). `body_limit` is in bytes; of a WebSocket it is that of a message.

    `timeout` (seconds) is how long the service may keep us waiting without a sign of life: until it takes the next part
    of the body, begins to answer, or sends the next part of the answer. A route that `streams` may go on for as long as
    bytes move; any other also tells the service that after `timeout` nobody will wait for its answer.
    """

    methods: tuple[str, ...]
    path: str
    service: Service
    requires: str | None
    timeout: float = 5.0
    body_limit: int = MIB
    streams: bool = False
    rate: Rate = Rate.DEFAULT
    caching: Caching | None = None
    retry: Retry = Retry.IDEMPOTENT


ROUTES: Final = (
    Route(("POST",), "/api/orders", Service.ORDER, "orders:write"),
    Route(("GET",), "/api/orders", Service.ORDER, "orders:read", caching=Caching(1.0, ORDER_EVENTS)),
    Route(("GET",), "/api/orders/{orderId}", Service.ORDER, "orders:read", caching=Caching(2.0, ORDER_EVENTS)),
    Route(("GET",), "/api/orders/{orderId}/events", Service.ORDER, "orders:read", caching=Caching(2.0, ORDER_EVENTS)),
    Route(("POST",), "/api/orders/{orderId}/cancel", Service.ORDER, "orders:write"),
    Route(("GET",), "/api/analytics/metrics", Service.ANALYTICS, "analytics:read", caching=Caching(1.0)),
    Route(
        ("POST",),
        "/api/storage/files",
        Service.STORAGE,
        "files:write",
        timeout=60.0,
        body_limit=1024 * MIB,
        streams=True,
    ),
    Route(("GET",), "/api/storage/files", Service.STORAGE, "files:read"),
    Route(("GET", "HEAD"), "/api/storage/files/{cid}", Service.STORAGE, "files:read", timeout=60.0, streams=True),
    Route(
        ("POST",),
        "/api/compute/images",
        Service.COMPUTE,
        "images:write",
        timeout=60.0,
        body_limit=32 * MIB,
        streams=True,
    ),
)


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """A path that the gateway serves itself, for who has `requires`, and forwards to nobody. `body_limit`: bytes."""

    methods: tuple[str, ...]
    path: str
    requires: str
    body_limit: int = 16 << 10
    service: str = "none"
    retry: Retry = Retry.NEVER
    caching: None = None


KEYS: Final = (
    OwnRoute(("GET", "HEAD", "POST"), f"{PREFIX}/keys", "keys:admin"),
    OwnRoute(("DELETE", "GET", "HEAD"), f"{PREFIX}/keys/{{keyId}}", "keys:admin"),
    OwnRoute(("POST",), f"{PREFIX}/keys/{{keyId}}/rotate", "keys:admin"),
)

SOCKETS: Final = (Route(("GET",), "/ws", Service.NOTIFICATION, "notifications:read"),)


class RouteNotFound(CortexError):
    """Nothing is served under this path."""

    code, kind = "route.not-found", Kind.NOT_FOUND

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing is served at {path}")


class MethodNotAllowed(CortexError):
    """The path is served, but not by this method. `allow` lists those that are; `template` is the path's."""

    code, kind = "route.method-not-allowed", Kind.METHOD_NOT_ALLOWED

    def __init__(self, method: str, path: str, template: str, allow: Sequence[str]) -> None:
        super().__init__(f"{path} is not served by {method}", allow=list(allow))
        self.template = template
        self.allow = allow


class RouteTable:
    """Finds the route of a request. A literal segment wins over a parameter, whatever the order of the entries."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Raises ValueError where a method of a path is declared twice."""
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._routes: dict[str, dict[str, Route]] = {}
        for route in sorted(routes, key=lambda route: [part.startswith("{") for part in route.path.split("/")]):
            shape = shape_of(route.path)
            self._patterns[shape] = _pattern(route.path)
            for method in _with_head(route.methods):
                if method in self._routes.setdefault(shape, {}):
                    raise ValueError(f"{method} {route.path} is declared twice")
                self._routes[shape][method] = route

    def find(self, method: str, path: str) -> Route:
        """Raises RouteNotFound, MethodNotAllowed. `path` is decoded, as the service will see it."""
        return self.match(method, path)[0]

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """`find`, and what the path has in the place of the template's parameters."""
        for shape, pattern in self._patterns.items():
            if matched := pattern.fullmatch(path):
                by_method = self._routes[shape]
                if method not in by_method:
                    template = next(iter(by_method.values())).path
                    raise MethodNotAllowed(method, path, template, sorted(by_method))
                return by_method[method], matched.groups()
        raise RouteNotFound(path)

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Route]]]:
        """Each path's template and its routes by method, in the order in which a path is looked for."""
        for by_method in self._routes.values():
            yield next(iter(by_method.values())).path, by_method

    @property
    def cached(self) -> "list[tuple[Route, re.Pattern[str]]]":
        """The routes whose answers may be kept, each with what its paths match. Literal segments come first."""
        routes = [(self._routes[shape].get("GET"), pattern) for shape, pattern in self._patterns.items()]
        return [(route, pattern) for route, pattern in routes if route is not None and route.caching is not None]

    def reaching(self, method: str, template: str, service: str) -> Route | None:
        """By which `service`'s own route (`/orders/{id}`, its parameters named as it likes) is reached through us."""
        route = self._routes.get(shape_of(PREFIX + template), {}).get(method)
        return route if route is not None and route.service == service else None


def route_of(scope: Scope, table: RouteTable, sockets: RouteTable) -> Route | None:
    """None: it is nobody's."""
    known, method = (sockets, "GET") if scope["type"] == "websocket" else (table, scope["method"])
    try:
        return known.find(method, scope["path"])
    except (RouteNotFound, MethodNotAllowed):
        return None


def own_route_of(method: str, path: str) -> OwnRoute | None:
    """None: it is not served by the gateway itself, or open to anybody."""
    return next((own for own, pattern in _OWN if method in own.methods and pattern.fullmatch(path)), None)


def counted_by(table: RouteTable, sockets: RouteTable) -> Callable[[Scope], bool] | None:
    """Whether a request counts against its caller's limit; None: all do, and nobody needs to look a route up."""
    every = [route for _, by_method in (*table, *sockets) for route in by_method.values()]
    if all(route.rate is not Rate.NONE for route in every):
        return None

    def counted(scope: Scope) -> bool:
        route = route_of(scope, table, sockets)
        return route is None or route.rate is not Rate.NONE

    return counted


def _with_head(methods: Sequence[str]) -> list[str]:
    """What serves GET serves HEAD (RFC 9110, section 9.1); one that is declared is not declared twice by that."""
    return [*methods, *(["HEAD"] if "GET" in methods and "HEAD" not in methods else [])]


def shape_of(template: str) -> str:
    """The template without its parameters' names: `/orders/{orderId}` → `/orders/{}`."""
    return re.sub(r"\{[^}]*\}", "{}", template)


def _pattern(template: str) -> re.Pattern[str]:
    """One segment a parameter, and never `.` or `..`: what they would mean is the service's guess, not ours."""
    parts = re.split(r"\{[^}]*\}", template)
    return re.compile(r"((?!\.{1,2}(?:/|$))[^/]+)".join(map(re.escape, parts)), re.DOTALL)


_OWN: Final = [(own, _pattern(own.path)) for own in KEYS]
