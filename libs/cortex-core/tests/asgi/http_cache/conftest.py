"""A site: an application that answers what the test says, a cache in front of it, a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.asgi.conditional import format_http_date
from cortex_core.asgi.http_cache import (
    AnswerDetails,
    CacheErrorDetails,
    CachePolicy,
    HttpCache,
    InvalidatedDetails,
    MemoryCacheStore,
    StoredDetails,
)
from cortex_core.testing import FakeClock

Headers = dict[str, str | list[str]]
Handler = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Reply:
    """What a client got. `complete`: the last piece of the body came."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def __getitem__(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        return ", ".join(found) if found else None


@dataclass
class Hooks:
    """Writes everything down."""

    answers: list[AnswerDetails] = field(default_factory=list)
    stored: list[StoredDetails] = field(default_factory=list)
    invalidated: list[InvalidatedDetails] = field(default_factory=list)
    errors: list[CacheErrorDetails] = field(default_factory=list)

    def on_answer(self, details: AnswerDetails, /) -> None:
        self.answers.append(details)

    def on_stored(self, details: StoredDetails, /) -> None:
        self.stored.append(details)

    def on_invalidated(self, details: InvalidatedDetails, /) -> None:
        self.invalidated.append(details)

    def on_error(self, details: CacheErrorDetails, /) -> None:
        self.errors.append(details)


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), each.encode("latin-1"))
        for name, value in headers.items()
        for each in (value if isinstance(value, list) else [value])
    ]


class Site:
    """`answers` is what the application says next, and for ever; `handler` replaces it altogether. While `gate` is
    closed the application thinks. `seen` are the requests that reached it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.store: Any = MemoryCacheStore(clock=clock)
        self.hooks = Hooks()
        self.seen: list[dict[str, Any]] = []
        self.handler: Handler | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers(**{"Cache-Control": "max-age=60"})
        self._caches: list[HttpCache] = []
        self.build()

    def build(self, **settings: Any) -> HttpCache:
        """Another cache in front of the same application."""
        arguments = {name: settings.pop(name) for name in ("tags",) if name in settings}
        self.cache = HttpCache(
            self.app, store=self.store, policy=CachePolicy(**settings), clock=self.clock, hooks=self.hooks, **arguments
        )
        self._caches.append(self.cache)
        return self.cache

    async def aclose(self) -> None:
        for cache in self._caches:
            await cache.aclose()

    def answers(self, status: int = 200, body: bytes = b"hello", **headers: str | list[str]) -> None:
        """`Date` is now, unless given; `Date=""`: none."""
        self.status, self.body, self.headers = status, body, headers

    def http_date(self, seconds: float = 0) -> str:
        """So many seconds from now."""
        return format_http_date(self.clock.now().timestamp() + seconds).decode()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append({"method": scope["method"], "path": scope["path"], **dict_of(scope["headers"])})
        status, body, says = self.status, self.body, self.headers  # as of now, however long the answer takes
        await self.gate.wait()
        if self.handler is not None:
            return await self.handler(scope, receive, send)
        headers: Headers = {"Date": self.http_date(), **{k.replace("_", "-"): v for k, v in says.items()}}
        if headers["Date"] == "":
            del headers["Date"]
        await send({"type": "http.response.start", "status": status, "headers": raw(headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def ask(
        self, path: str = "/", method: str = "GET", *, cache: HttpCache | None = None, receive: Any = None, **more: Any
    ) -> Reply:
        """`more`: request headers by keyword (`if_none_match='"a"'`)."""
        reply = Reply()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = [
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
                ]
            else:
                reply.body += message.get("body", b"")
                reply.complete = not message.get("more_body", False)

        await (cache or self.cache)(self.scope(path, method, **more), receive or self.receive(), send)
        return reply

    @staticmethod
    def receive() -> Any:
        """A client who says nothing more."""
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()

        return receive

    def scope(self, path: str = "/", method: str = "GET", **headers: str | list[str]) -> dict[str, Any]:
        path, _, query = path.partition("?")
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": raw({"host": "site", **{name.replace("_", "-"): value for name, value in headers.items()}}),
        }


def dict_of(headers: Any) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def site(clock: FakeClock) -> AsyncIterator[Site]:
    site = Site(clock)
    yield site
    await site.aclose()
