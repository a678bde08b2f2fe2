"""The service-to-service client: aiohttp, with the context passed on and every call under a deadline.

A call waits for the shorter of its own timeout and what is left of the request's deadline, and tells the callee how
long that is (`X-Request-Deadline`, milliseconds), so that nobody works for a caller who has left.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Tracer

if TYPE_CHECKING:
    import aiohttp


_IDLE: Final = 4.0  # seconds; below the 5 after which our servers close: a reused connection should not be a dying one


class UpstreamUnavailable(CortexError):
    """The service called is not there, or closed the connection."""

    code, kind = "upstream.unavailable", Kind.UNAVAILABLE


class UpstreamTimeout(CortexError):
    """The service called did not answer in time."""

    code, kind = "upstream.timeout", Kind.TIMEOUT


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError where the body is not JSON."""
        return orjson.loads(self.body)


class ServiceClient:
    """One pool of kept-alive connections. `connect_timeout` in seconds bounds how long a dead service can cost."""

    def __init__(self, *, tracer: Tracer | None = None, connect_timeout: float = 0.8, connections: int = 100) -> None:
        self._tracer = tracer or Tracer("client")
        self._connect_timeout = connect_timeout
        self._connections = connections
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
    ) -> Reply:
        """The whole answer. Raises UpstreamUnavailable, UpstreamTimeout (both retryable)."""
        place = urlsplit(url)
        attributes = {"http.request.method": method, "server.address": place.netloc, "url.path": place.path}
        with self._tracer.start_span(method, kind="client", attributes=attributes) as span:
            reply = await self._exchange(method, url, json, body, headers, timeout)
            span.set_attribute("http.response.status_code", reply.status)
            return reply

    async def _exchange(
        self, method: str, url: str, json: Any, body: bytes | None, headers: Mapping[str, str] | None, timeout: float
    ) -> Reply:
        import aiohttp

        allowed = self.allowed(timeout)
        if json is not None:
            body, headers = orjson.dumps(json), {"Content-Type": "application/json", **(headers or {})}
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers=outgoing_headers(headers, allowed),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=allowed, sock_connect=min(allowed, self._connect_timeout)),
            ) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError) and allowed > self._connect_timeout:
                raise UpstreamUnavailable(f"{method} {url}: no connection within {self._connect_timeout} s") from error
            raise UpstreamTimeout(f"{method} {url}: no answer within {allowed:.3f} s") from error
        except aiohttp.ClientError as error:
            raise UpstreamUnavailable(f"{method} {url}: {type(error).__name__}") from error

    def allowed(self, timeout: float) -> float:
        """Seconds a call may take: its timeout, or less where the request's deadline is nearer. Raises UpstreamTimeout
        when that has passed."""
        deadline = current().deadline
        if deadline is None:
            return timeout
        left = deadline - time.monotonic()
        if left <= 0:
            raise UpstreamTimeout("the request's deadline has passed")
        return min(timeout, left)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def outgoing_headers(headers: Mapping[str, str] | None, allowed: float) -> dict[str, str]:
    """`headers` and the context's: trace, request id, tenant, and the milliseconds left."""
    context = current()
    out = dict(headers or {})
    if context.trace is not None:
        out["traceparent"] = context.trace.traceparent
        if context.trace.state:
            out["tracestate"] = context.trace.state
    if context.request_id is not None:
        out["X-Request-Id"] = context.request_id
    out["X-Cortex-Tenant"] = context.tenant
    out["X-Request-Deadline"] = str(max(1, int(allowed * 1000)))
    return out
