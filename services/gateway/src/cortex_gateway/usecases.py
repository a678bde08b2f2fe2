"""What the gateway does: forwards requests and sockets, tells how the hub is, describes its API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cortex_core.kernel import Clock, CortexError, current
from cortex_core.kernel.facts import Delivered
from cortex_core.observability import HealthCheckRegistry, HealthReport, Status
from cortex_core.observability.health import CheckResult
from cortex_core.security import InternalTokens
from cortex_core.security.api_keys import KeyDesk
from cortex_gateway.domain import Headers, merge, request_headers, target_of
from cortex_gateway.domain.operations import Document
from cortex_gateway.domain.provenance import Provenance, Source
from cortex_gateway.ports import Answer, Call, KeptAnswers, Socket, Upstreams
from cortex_gateway.routes import PREFIX, Retry, Route, RouteTable, Service

_REPORT_HOLDS: Final = 1.0  # seconds that a report on all is good for
_OF_PAGES: Final = frozenset({b"origin", b"sec-fetch-site"})
_PROBE_TIMEOUT: Final = 1.0  # seconds: what one service may cost a report on all


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it reached us. `path` is decoded."""

    method: str
    path: str
    query: bytes
    headers: Headers
    source: Source
    body: AsyncIterator[bytes] | None = None

    def call(self, route: Route, tokens: InternalTokens | None) -> Call:
        """`tokens` say to the service who asks; without them it sees what the client has shown to us."""
        principal = current().principal
        token = tokens.header_for(principal) if tokens is not None and principal is not None else None
        prefix = PREFIX if self.path.startswith(f"{PREFIX}/") else ""
        return Call(
            service=route.service,
            method=self.method,
            target=target_of(self.path.removeprefix(prefix), self.query),
            headers=request_headers(self.headers, source=self.source, prefix=prefix, principal=token),
            body=self.body,
            timeout=route.timeout,
            deadline_sent=not route.streams,
            retry=route.retry is Retry.IDEMPOTENT,
            body_limit=route.body_limit,
        )


@dataclass(frozen=True, slots=True)
class Forward:
    """Passes a request to the service its route names, and the answer back. `withheld` are the names of headers of an
    answer that its client does not see, whatever stands between. Of a page that is `allowed` here: see `ForwardSocket`.
    """

    routes: RouteTable
    upstreams: Upstreams
    tokens: InternalTokens | None = None
    withheld: frozenset[bytes] = frozenset()
    allowed: Callable[[bytes], bool] | None = None

    def route(self, method: str, path: str) -> Route:
        """Raises RouteNotFound, MethodNotAllowed."""
        return self.routes.find(method, path)

    def __call__(self, request: Incoming, route: Route) -> AbstractAsyncContextManager[Answer]:
        return self.upstreams.exchange(_vouched_for(request, self.allowed).call(route, self.tokens))


@dataclass(frozen=True, slots=True)
class ForwardSocket:
    """Connects a client's WebSocket with the service's. A page whose origin is `allowed` here needs no leave of the
    service: its origin is not passed on. Of all others the service judges by itself."""

    routes: RouteTable
    upstreams: Upstreams
    tokens: InternalTokens | None = None
    allowed: Callable[[bytes], bool] | None = None

    def __call__(self, request: Incoming, subprotocols: list[str]) -> AbstractAsyncContextManager[Socket]:
        route = self.routes.find(request.method, request.path)
        return self.upstreams.connect(_vouched_for(request, self.allowed).call(route, self.tokens), subprotocols)


def _vouched_for(request: Incoming, allowed: Callable[[bytes], bool] | None) -> Incoming:
    """Without what a browser says of its page, where that is allowed."""
    if allowed is None or not any(name == b"origin" and allowed(value) for name, value in request.headers):
        return request
    return replace(request, headers=[each for each in request.headers if each[0] not in _OF_PAGES])


@dataclass(slots=True)
class _Kept:
    """A report that is being made, or was made and holds `until` then."""

    asking: "asyncio.Task[HealthReport] | None" = None
    until: float = float("-inf")


@dataclass(frozen=True, slots=True)
class ReportHealth:
    """The six at once: our own checks and what each service says of itself. A service that is not well degrades the
    whole; only what the gateway itself cannot do without brings it down."""

    own: HealthCheckRegistry
    services: HealthCheckRegistry
    clock: Clock
    _kept: _Kept = field(default_factory=_Kept)

    @classmethod
    def of(cls, own: HealthCheckRegistry, upstreams: Upstreams, clock: Clock) -> "ReportHealth":
        services = HealthCheckRegistry(clock)
        for service in Service:
            services.register(service, _asking(upstreams, service), critical=False, timeout=_PROBE_TIMEOUT)
        return cls(own, services, clock)

    async def __call__(self) -> HealthReport:
        """Anybody may ask, as often as he likes: it is found out once a second, for all who ask meanwhile."""
        kept, now = self._kept, self.clock.monotonic()
        if kept.asking is None or (kept.asking.done() and not kept.until > now):
            kept.asking = asyncio.create_task(self._find_out(), name="health")
        return await asyncio.shield(kept.asking)

    async def _find_out(self) -> HealthReport:
        try:
            return await self._ask()
        finally:
            self._kept.until = self.clock.monotonic() + _REPORT_HOLDS

    async def _ask(self) -> HealthReport:
        own, services = await asyncio.gather(self.own.run(), self.services.run())
        worst = own.status if own.status is not Status.UP else services.status
        longest = max((result.duration for result in own.checks.values()), default=0.0)
        checks = {**own.checks, "gateway": CheckResult(own.status, longest), **services.checks}
        return replace(own, status=worst, checks=checks)


def told_to_anybody(report: HealthReport) -> HealthReport:
    """The state of each of the six and what it took to say so, and neither what they stand on nor what ails them."""
    six = ("gateway", *Service)
    checks = {name: replace(report.checks[name], error=None, details={}) for name in six}
    return replace(report, checks=checks)


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
    `ttl` seconds. One that does not answer is asked again the next time: meanwhile its last document counts, and is
    named as stale; one that never answered is left out, and named as unavailable."""

    routes: RouteTable
    sockets: Sequence[Route]
    upstreams: Upstreams
    clock: Clock
    anonymous: bool = True
    ttl: float = 10.0
    _known: dict[Service, tuple[float, Document]] = field(default_factory=dict)

    async def __call__(self, own: Document) -> Document:
        fresh = await asyncio.gather(*(self._refreshed(service) for service in Service))
        known = {str(service): self._known[service][1] if service in self._known else None for service in Service}
        old = [str(service) for service, told in zip(Service, fresh, strict=True) if not told and known[service]]
        return merge(
            own,
            known,
            prefix=PREFIX,
            found=self.routes.reaching,
            sockets=self.sockets,
            stale=old,
            anonymous=self.anonymous,
        )

    async def _refreshed(self, service: Service) -> bool:
        """Whether what is known of it is of now."""
        if service in self._known and self.clock.monotonic() < self._known[service][0]:
            return True
        try:
            document = await self.upstreams.fetch(service, "/openapi.json", _PROBE_TIMEOUT)
        except CortexError:  # the answer names it: that is where the caller learns of it
            return False
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
            return False
        self._known[service] = (self.clock.monotonic() + self.ttl, document)
        return True


@dataclass(frozen=True, slots=True)
class PurgeAnswers:
    """An event takes away what is kept of what it has changed, and nothing else."""

    kept: KeptAnswers

    async def __call__(self, event: Delivered[Any]) -> None:
        self.kept.heard(event.tenant, event.type, event.subject)


@dataclass(frozen=True, slots=True)
class UseCases:
    forward: Forward
    forward_socket: ForwardSocket
    report_health: ReportHealth
    describe_api: DescribeApi
    purge_answers: PurgeAnswers
    provenance: Provenance
    keys: KeyDesk | None = None
