"""The service client behind an HTTP cache: the middleware's rules, stores and flights, with a service behind them.

A GET is answered from the store where the service's own `Cache-Control` allows it, validated where it has an `ETag`,
served stale while it is refreshed or while the service fails, and asked once for all who wait. It is a shared cache:
what goes out with `Authorization` or in the name of a principal is stored only where the service calls it public.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from cortex_core.asgi.http_cache import CacheHooks, CachePolicy, CacheStore, HttpCache
from cortex_core.asgi.types import Message, Receive, Scope, Send
from cortex_core.chassis.client import Reply, ServiceClient
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current, use_context

_CALL: Final = "cortex.call"
_NOT_SENT: Final = frozenset({b"host", b"transfer-encoding"})  # put there for the cache: the client makes its own


class CachedClient:
    """`ServiceClient.request` with the same signature. `policy.origin` is left alone: a call names its service.

    Closes neither `client` nor `store`.
    """

    def __init__(
        self,
        client: ServiceClient,
        *,
        store: CacheStore,
        policy: CachePolicy | None = None,
        clock: Clock | None = None,
        hooks: CacheHooks | None = None,
    ) -> None:
        """Raises ValueError for a `policy` with an `origin`: all services would be one."""
        if policy is not None and policy.origin is not None:
            raise ValueError("policy.origin must be None: each call names its own")
        self._client = client
        self._clock = clock or SystemClock()
        self.cache = HttpCache(self._call, store=store, policy=policy, clock=self._clock, hooks=hooks)

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
    ) -> Reply:
        """The whole answer; `Age` and `Cache-Status` say whose it is. Raises what `ServiceClient.request` does where
        nothing stored may stand in, NotCached, SharedAnswerTimeout.

        `timeout` bounds waiting for another call's answer, too. A call with a `Host` header of its own passes the cache
        by: its answer may be anybody's. So does one with a user in its URL, who is nobody the cache would see.
        """
        if "@" in urlsplit(url).netloc or any(name.lower() == "host" for name in headers or ()):
            return await self._client.request(
                method, url, json=json, body=body, headers=headers, timeout=timeout, retry=retry
            )
        call = _Call(method.upper(), url, json, body, dict(headers or {}), timeout, retry)
        deadline, given = self._clock.monotonic() + timeout, current().deadline
        with use_context(deadline=deadline if given is None else min(deadline, given)):
            await self.cache(call.scope(), _never, call.take)
        return Reply(call.status, call.headers, bytes(call.answer))

    async def invalidate(self, tags: Collection[str]) -> int:
        """See `HttpCache.invalidate`."""
        return await self.cache.invalidate(tags)

    async def aclose(self) -> None:
        await self.cache.aclose()

    async def _call(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The service as an ASGI application: the method and the headers are the cache's, the rest is the call's."""
        call: _Call = scope[_CALL]
        reply = await self._client.request(
            scope["method"],
            call.url,
            json=call.json,
            body=call.body,
            headers={name.decode(): value.decode() for name, value in scope["headers"] if name not in _NOT_SENT},
            timeout=call.timeout,
            retry=call.retry,
        )
        headers = [(name.lower().encode(), _bytes(value)) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


@dataclass(slots=True)
class _Call:
    """One call, and what came back."""

    method: str
    url: str
    json: Any
    body: bytes | None
    sent: Mapping[str, str]
    timeout: float
    retry: bool
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    answer: bytearray = field(default_factory=bytearray)

    def scope(self) -> Scope:
        place = urlsplit(self.url)
        path = place.path or "/"
        headers = [(name.lower().encode(), value.encode()) for name, value in self.sent.items()]
        if self.json is not None or self.body is not None:
            headers.append((b"transfer-encoding", b"chunked"))  # for the cache: this request has a body
        return {
            "type": "http",
            "method": self.method,
            "scheme": place.scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": place.query.encode(),
            "headers": [(b"host", place.netloc.encode()), *headers],
            _CALL: self,
        }

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = Headers(raw=list(message["headers"]))
        else:
            self.answer += message.get("body", b"")


def _bytes(value: str) -> bytes:
    """Of a header value as aiohttp reads it: what came over the wire, where it is more than latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape")


async def _never() -> Message:  # pragma: no cover - for applications that read a body; ours has it in the call
    raise AssertionError("a call's body is in the call")
