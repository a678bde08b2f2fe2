"""One request to the application, for everybody who wants its answer.

It runs in a task of its own, so that the client who caused it may leave while others wait. The answer is collected as
long as it may be worth it and is no longer than it may be; meanwhile a slow client does not slow it down. What is not
collected is handed on piece by piece, as fast as the client takes it. Refuses to know what is worth storing: the cache
says so.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import Fields, joined, lower_names
from cortex_core.asgi.http_cache.store import Put, Ticket
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope
from cortex_core.kernel.errors import CortexError, Kind

_TROUBLE = frozenset({Kind.INTERNAL, Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.MALFORMED})
FAILED = frozenset({500, 502, 503, 504})  # RFC 5861, 4


@dataclass(frozen=True, slots=True)
class Landed:
    """What waiting for a flight gave: an answer to share, and how storing it went; or nothing."""

    answer: Answer | None = None
    put: Put | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with an answer whose head is known. `share`: it may be stored, if all of it comes. `collect`: its body
    is wanted whole. `whole`: its client gets nothing before all of it is there, or too much."""

    share: bool
    collect: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Errand:
    """What a flight is for. `stored` is what it asks to be validated, `deadline` its client's."""

    key: str
    variant: str
    requested: float
    ticket: Ticket | None
    stored: Answer | None
    deadline: float | None


class Flight:
    """`receive` is the client's, None where nobody reads the answer. `heard(flight)` decides by the head,
    `land(flight, body)` stores what came whole, `over(flight)` is called once it is settled whether there is something
    to share."""

    def __init__(
        self,
        app: ASGIApp,
        errand: Errand,
        scope: Scope,
        receive: Receive | None,
        *,
        max_body: int,
        heard: "Callable[[Flight], Awaitable[Plan]]",
        land: "Callable[[Flight, bytes], Awaitable[Landed]]",
        over: "Callable[[Flight], None]",
    ) -> None:
        self.errand = errand
        self.scope = scope
        self.status = 0
        self.headers: HeaderList = []
        self.received = 0.0
        self.complete = self.hurried = False
        self.error: BaseException | None = None
        self.freshened: Answer | None = None
        self.landed: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        self.ready = asyncio.Event()
        self._client = receive
        self._max_body = max_body
        self._heard, self._land, self._over = heard, land, over
        self._plan = Plan(share=True, collect=True, whole=False)
        self._body: list[bytes] = []
        self._size = 0
        self._unread: deque[tuple[bytes, bool]] = deque()
        self._reading = receive is not None
        self._interest = 0
        self._asked = self._client_left = self._ended = False
        self._news, self._room, self._deserted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._fly(app), name=f"http-cache {scope['path']}")

    @property
    def failed(self) -> bool:
        """The application is in trouble: `stale-if-error` is for this."""
        return self.status in FAILED or (self._ended and not self.complete)

    @property
    def broken(self) -> bool:
        """It failed, and not for something of the client who caused it: another's would have failed as well."""
        his_own = isinstance(self.error, CortexError) and self.error.kind not in _TROUBLE
        return self.failed and not self.hurried and not his_own

    @property
    def stored(self) -> bool:
        """Whether its answer is in the store, as far as is known by now."""
        return self.landed.done() and self.landed.result().put is Put.STORED

    @property
    def retry_after(self) -> float | None:
        """Seconds that an application in trouble wants to be left alone for, where its answer says so."""
        said = joined(self.headers, b"retry-after") or ""
        return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else None

    @property
    def attended(self) -> bool:
        """Whether the client who caused it is still there."""
        return self._reading

    def join(self) -> None:
        self._interest += 1

    def leave(self, *, reading: bool = False) -> None:
        """When the last one leaves, an answer that is not there yet is given up."""
        self._interest -= 1
        if reading:
            self._reading = False
            self._unread.clear()
            self._room.set()
        if self._interest == 0 or (self._interest == 1 and self._client_left):
            self._deserted.set()
        if self._interest == 0 and not self.complete:
            self.give_up()

    def give_up(self) -> None:
        self.task.cancel()

    async def read(self) -> AsyncIterator[tuple[bytes, bool]]:
        """The pieces of the body, and whether more follow; then waits for the application to end. Raises what it
        raised."""
        while True:
            while self._unread:
                yield self._unread.popleft()
                self._room.set()
            if self._ended:
                break
            self._news.clear()
            await self._news.wait()
        if self.error is not None:
            raise self.error

    async def _fly(self, app: ASGIApp) -> None:
        try:
            await app(self.scope, self._receive, self._send)
        except asyncio.CancelledError as error:
            self.error = error
            raise
        except Exception as error:  # noqa: BLE001 - raised again where the client is, by `read`
            self.error = error
        finally:
            self._ended = True
            self._settle(Landed())
            self.ready.set()
            self._news.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._client is not None:
            while (await self._client())["type"] != "http.disconnect":
                pass  # the request's own (empty) body
            self._client, self._client_left = None, True
            if self._interest <= 1:
                self._deserted.set()
        await self._deserted.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], Fields(lower_names(message.get("headers", ())))
            self._plan = await self._heard(self)
            if not self._plan.share:
                self._settle(Landed())
            if not self._plan.collect:
                self.ready.set()  # whoever streams events wants his client to know that it is connected
        elif message["type"] == "http.response.body" and not self.complete:
            await self._piece(bytes(message.get("body", b"")), more=message.get("more_body", False))

    async def _piece(self, body: bytes, *, more: bool) -> None:
        self._size += len(body)
        if self._plan.collect:
            self._body.append(body)
            if self._size > self._max_body:
                self._plan = Plan(share=False, collect=False, whole=False)
                self._body.clear()
                self._settle(Landed())
        if not more:
            if self._plan.collect:
                self._settle(await self._land(self, b"".join(self._body)))
            self.complete = True
        if self._reading:
            self._unread.append((body, more))
        self._news.set()
        if self.complete or not self._plan.whole:
            self.ready.set()
        while self._unread and not self._plan.collect and not self.complete:
            self._room.clear()
            await self._room.wait()

    def _settle(self, landed: Landed) -> None:
        if not self.landed.done():
            self.landed.set_result(landed)
            self._over(self)
