"""What the gateway does: forwards requests and sockets, tells how the hub is, describes its API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cortex_core.kernel import Clock, CortexError
from cortex_core.observability import HealthCheckRegistry, HealthReport, Status
from cortex_core.observability.health import CheckResult
from cortex_gateway.domain import Headers, merge, request_headers, target_of
from cortex_gateway.domain.openapi import Document
from cortex_gateway.ports import Answer, Call, Socket, Upstreams
from cortex_gateway.routes import PREFIX, Route, RouteTable, Service

_PROBE_TIMEOUT: Final = 1.0  # seconds: what one service may cost a report on all


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it reached us. `path` is decoded; `client` is the peer's address."""

    method: str
    path: str
    query: bytes
    headers: Headers
    client: str | None
    scheme: str
    body: AsyncIterator[bytes] | None = None

    def call(self, route: Route) -> Call:
        prefix = PREFIX if self.path.startswith(f"{PREFIX}/") else ""
        return Call(
            service=route.service,
            method=self.method,
            target=target_of(self.path.removeprefix(prefix), self.query),
            headers=request_headers(self.headers, client=self.client, scheme=self.scheme, prefix=prefix),
            body=self.body,
            timeout=route.timeout,
            deadline_sent=not route.streams,
        )


@dataclass(frozen=True, slots=True)
class Forward:
    """Passes a request to the service its route names, and the answer back."""

    routes: RouteTable
    upstreams: Upstreams

    def route(self, method: str, path: str) -> Route:
        """Raises RouteNotFound, MethodNotAllowed."""
        return self.routes.find(method, path)

    def __call__(self, request: Incoming, route: Route) -> AbstractAsyncContextManager[Answer]:
        return self.upstreams.exchange(request.call(route))


@dataclass(frozen=True, slots=True)
class ForwardSocket:
    """Connects a client's WebSocket with the service's."""

    routes: RouteTable
    upstreams: Upstreams

    def __call__(self, request: Incoming, subprotocols: list[str]) -> AbstractAsyncContextManager[Socket]:
        route = self.routes.find(request.method, request.path)
        return self.upstreams.connect(request.call(route), subprotocols)


@dataclass(frozen=True, slots=True)
class ReportHealth:
    """The six at once: our own checks and what each service says of itself. A service that is not well degrades the
    whole; only what the gateway itself cannot do without brings it down."""

    own: HealthCheckRegistry
    services: HealthCheckRegistry

    @classmethod
    def of(cls, own: HealthCheckRegistry, upstreams: Upstreams, clock: Clock) -> "ReportHealth":
        services = HealthCheckRegistry(clock)
        for service in Service:
            services.register(service, _asking(upstreams, service), critical=False, timeout=_PROBE_TIMEOUT)
        return cls(own, services)

    async def __call__(self) -> HealthReport:
        own, services = await asyncio.gather(self.own.run(), self.services.run())
        worst = own.status if own.status is not Status.UP else services.status
        longest = max((result.duration for result in own.checks.values()), default=0.0)
        checks = {**own.checks, "gateway": CheckResult(own.status, longest), **services.checks}
        return replace(own, status=worst, checks=checks)


class NotAHealthReport(CortexError):
    """What a service said of its health cannot be understood."""

    code = "upstream.bad-health-report"


def _asking(upstreams: Upstreams, service: Service) -> Callable[[], Any]:
    async def ask() -> Mapping[str, Any]:
        report = await upstreams.fetch(service, "/health", _PROBE_TIMEOUT)
        try:
            checks = {name: check["status"] for name, check in report["checks"].items()}
            return {"status": Status(report["status"]), "checks": checks}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NotAHealthReport(f"the {service} service's health report makes no sense") from error

    return ask


@dataclass(frozen=True, slots=True)
class DescribeApi:
    """The OpenAPI document of everything reached through us, made of the services' own, each asked at most once in
    `ttl` seconds. One that does not answer is left out, named, and asked again the next time."""

    routes: RouteTable
    upstreams: Upstreams
    clock: Clock
    ttl: float = 10.0
    _known: dict[Service, tuple[float, Document]] = field(default_factory=dict)

    async def __call__(self, own: Document) -> Document:
        services = list(Service)
        found = await asyncio.gather(*(self._document(service) for service in services))
        return merge(own, dict(zip(services, found, strict=True)), prefix=PREFIX, serves=self._serves)

    async def _document(self, service: Service) -> Document | None:
        expires, document = self._known.get(service, (0.0, {}))
        if document and self.clock.monotonic() < expires:
            return document
        try:
            document = await self.upstreams.fetch(service, "/openapi.json", _PROBE_TIMEOUT)
        except CortexError:  # the answer names it as unavailable: that is where the caller learns of it
            return None
        if not isinstance(document, dict):
            return None
        self._known[service] = (self.clock.monotonic() + self.ttl, document)
        return document

    def _serves(self, method: str, path: str, service: str) -> bool:
        return self.routes.serves(method, path, Service(service))


@dataclass(frozen=True, slots=True)
class UseCases:
    forward: Forward
    forward_socket: ForwardSocket
    report_health: ReportHealth
    describe_api: DescribeApi
