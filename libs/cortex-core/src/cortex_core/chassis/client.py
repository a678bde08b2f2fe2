"""The service-to-service client: aiohttp, with the context passed on and every call under a deadline.

A call waits for the shorter of its own timeout and what is left of the request's deadline, and tells the callee how
long that is (`X-Request-Deadline`, milliseconds), so that nobody works for a caller who has left. Each upstream has a
circuit breaker and a bulkhead of its own; what may be sent twice is tried again, within a budget that the callee is
told of (`X-Retry-Budget`). Next: upstream.py says what is evidence against a service, resilience.py makes the blocks.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import orjson

from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.upstream import (
    UNWELL,
    OutOfTime,
    Unwell,
    Upstream,
    UpstreamTimeout,
    UpstreamUnavailable,
    is_hurried,
)
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Tracer
from cortex_core.resilience import Refusal, format_retry_budget, is_idempotent, is_transient, write_deadline

if TYPE_CHECKING:
    import aiohttp


_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_SYSTEM: Final = SystemClock()
_IDLE: Final = 4.0  # seconds; below the 5 after which our servers close: a reused connection should not be a dying one


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError where the body is not JSON."""
        return orjson.loads(self.body)

    @property
    def retry_after(self) -> float | None:
        """Whole seconds (RFC 9110, section 10.2.3); a date is not worth a parser here: a back-off does as well."""
        value = self.headers.get("Retry-After", "")
        return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


class ServiceClient:
    """One pool of kept-alive connections. `connect_timeout` in seconds bounds how long a dead service can cost.

    Per upstream (host and port): at most `connections` calls at a time, as many more wait for half a second; a circuit
    that opens for a second when half of at least twenty calls within ten seconds failed.
    """

    def __init__(
        self,
        *,
        tracer: Tracer | None = None,
        connect_timeout: float = 0.8,
        connections: int = 100,
        resilience: Resilience | None = None,
    ) -> None:
        self._tracer = tracer or Tracer("client")
        self._connect_timeout = connect_timeout
        self._connections = connections
        self._resilience = resilience or Resilience()
        self._retry = self._resilience.retry(
            "client", max_attempts=3, base_delay=0.05, max_delay=1.0, retry_on=_is_worth_it
        )
        self._retry_unsafe = self._retry.for_unsafe()
        self._upstreams: dict[str, Upstream] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> "aiohttp.ClientSession":
        """For streaming. Opened at first use, so that services that call nobody need not import a client."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections,
                    limit_per_host=self._connections,
                    keepalive_timeout=_IDLE,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
            self._session._retry_connection = False  # its own second attempt knows no budget
        return self._session

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        retry: bool = True,
        as_caller: bool = False,
    ) -> Reply:
        """The whole answer, whatever its status. Raises UpstreamUnavailable, UpstreamTimeout (both retryable).

        `timeout` is for all attempts together. There is another one where the method is idempotent, or the headers hold
        an `Idempotency-Key`, or it is certain that the first never reached the service; `retry=False`: there is none,
        for a caller who has a policy of its own. `as_caller`: a service of ours is told for whom we ask.
        """
        place = urlsplit(url)
        host = _host(place)
        attributes = {"http.request.method": method, "server.address": host, "url.path": place.path}
        if json is not None:
            body, headers = orjson.dumps(json), {"Content-Type": "application/json", **(headers or {})}
        with self._tracer.start_span(method, kind="client", attributes=attributes) as span:
            allowed = self.allowed(timeout)
            name, hurried = f"{method} {host}{place.path}", is_hurried(allowed, timeout)
            call = _Call(method, url, body, headers or {}, name, hurried, as_caller)
            with use_context(deadline=time.monotonic() + allowed):
                reply = await self._guarded(host, call, retry=retry)
            span.set_attribute("http.response.status_code", reply.status)
            return reply

    async def _guarded(self, host: str, call: "_Call", *, retry: bool) -> Reply:
        upstream = self._upstreams.get(host) or self._new_upstream(host)
        executor = self._retry if is_idempotent(call.method, call.headers.items()) else self._retry_unsafe
        try:
            if not retry:
                return await self._attempt(upstream, call)
            return await executor.execute(self._attempt, upstream, call)
        except (Unwell, _TooMany) as unwell:
            return cast("Reply", unwell.answer)
        except Refusal as refusal:
            raise UpstreamUnavailable(
                f"{call}: {refusal.message}", retry_after=refusal.retry_after, attempted=False
            ) from refusal

    async def _attempt(self, upstream: Upstream, call: "_Call") -> Reply:
        reply = await upstream.execute(self._exchange, call)
        if reply.status == 429:
            raise _TooMany(reply)
        return reply

    def _new_upstream(self, host: str) -> Upstream:
        upstream = self._upstreams[host] = self._resilience.upstream(host, self._connections, queue_timeout=0.5)
        return upstream

    async def _exchange(self, call: "_Call") -> Reply:
        import aiohttp

        allowed = self.allowed(math.inf)
        connecting = min(allowed, self._connect_timeout)
        try:
            async with self.session.request(
                call.method,
                call.url,
                data=call.body,
                headers=outgoing_headers(call.headers, as_caller=call.as_caller),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=allowed, sock_connect=connecting),
            ) as answer:
                reply = Reply(answer.status, answer.headers, await answer.read())
        except TimeoutError as error:
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            if not connected and allowed > self._connect_timeout:
                raise UpstreamUnavailable(
                    f"{call}: no connection within {self._connect_timeout} s", attempted=False
                ) from error
            late = OutOfTime if call.hurried else UpstreamTimeout
            raise late(f"{call}: no answer within {allowed:.3f} s", attempted=connected) from error
        except aiohttp.ClientError as error:
            reached = not isinstance(error, aiohttp.ClientConnectorError)
            raise UpstreamUnavailable(f"{call}: {type(error).__name__}", attempted=reached) from error
        if reply.status in UNWELL:
            raise Unwell(reply, reply.status, reply.retry_after)
        return reply

    def allowed(self, timeout: float) -> float:
        """Seconds a call may take: its timeout, or less where the request's deadline is nearer. Raises UpstreamTimeout
        when that has passed."""
        deadline = current().deadline
        if deadline is None:
            return timeout
        left = deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime("the request's deadline has passed", attempted=False)
        return min(timeout, left)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _TooMany(CortexError):
    """The service answered that its caller asks too much: worth another attempt, and no evidence against it."""

    code, kind = "upstream.too-many", Kind.RATE_LIMITED

    def __init__(self, answer: Reply) -> None:
        super().__init__(f"answered {answer.status}", retry_after=answer.retry_after)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, whole. `name` is what is safe to log; `hurried`: its caller leaves it less than its own timeout."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    name: str
    hurried: bool
    as_caller: bool

    def __str__(self) -> str:
        return self.name


def _host(place: SplitResult) -> str:
    """`host:port`, as a circuit, a metric and a log call it: a user's name and password are nobody's to read there."""
    host = place.netloc.rpartition("@")[2].lower()
    return host.removesuffix(_DEFAULT_PORTS.get(place.scheme, ""))


def _is_worth_it(error: Exception) -> bool:
    """What a block of ours refused is refused: whoever waits for a circuit makes its outage the caller's, too."""
    return is_transient(error) and not isinstance(error, Refusal)


def outgoing_headers(
    headers: Mapping[str, str] | None = None, clock: Clock = _SYSTEM, *, as_caller: bool = False
) -> dict[str, str]:
    """`headers` and the context's: trace, request id, tenant, retry budget, and the milliseconds left. `as_caller`: and
    the token that says for whom we ask; to a service of ours only, for whoever has it can ask as him."""
    context = current()
    out = dict(headers or {})
    if context.trace is not None:
        out["traceparent"] = context.trace.traceparent
        if context.trace.state:
            out["tracestate"] = context.trace.state
    if context.request_id is not None:
        out["X-Request-Id"] = context.request_id
    if context.retry_budget is not None:
        out["X-Retry-Budget"] = format_retry_budget(context.retry_budget)
    if (left := write_deadline(clock)) is not None:
        out["X-Request-Deadline"] = left
    out["X-Cortex-Tenant"] = context.tenant
    if as_caller and context.principal_token is not None:
        out["X-Cortex-Principal"] = context.principal_token
    return out
