"""HTTP cache: RFC 9111 as a shared cache, in front of an ASGI application.

Owns the way of a request: from the store where it may be, together with others who ask for the same, or by itself. The
rules are in `reuse.py`, `storing.py` and `validation.py`, without a transport; `flights.py` does the asking. Whatever
happens to the store, requests are answered.
"""

from collections.abc import Collection
from typing import Final, TypeGuard

from cortex_core.asgi.access_log import UNMATCHED
from cortex_core.asgi.http_cache.answer import Answer
from cortex_core.asgi.http_cache.directives import NONE, Directives
from cortex_core.asgi.http_cache.errors import NotCached, SharedAnswerFailed, SharedAnswerTimeout
from cortex_core.asgi.http_cache.exchange import Exchange, Sight
from cortex_core.asgi.http_cache.fields import lower_names, variant
from cortex_core.asgi.http_cache.flight import FAILED, Flight
from cortex_core.asgi.http_cache.flights import Flights
from cortex_core.asgi.http_cache.freshness import current_age
from cortex_core.asgi.http_cache.hooks import (
    AnswerDetails,
    CacheErrorDetails,
    CacheHooks,
    InvalidatedDetails,
    LoggingHooks,
    Outcome,
    tell,
)
from cortex_core.asgi.http_cache.landing import Landing, Tags, tag_key
from cortex_core.asgi.http_cache.policy import CachePolicy
from cortex_core.asgi.http_cache.request import SAFE, Request
from cortex_core.asgi.http_cache.reuse import Use, Verdict, judge
from cortex_core.asgi.http_cache.serving import dated, not_modified_headers, send_answer, unchanged_for, undated
from cortex_core.asgi.http_cache.status import CacheStatus
from cortex_core.asgi.http_cache.store import CacheStore, Found, Put
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError

_ROUNDS: Final = 2  # answers invalidated in flight are fetched again together, and at last alone
_ROUTING: Final = ("route", "cortex.route", "endpoint", "path_params")


class HttpCache:
    """See the module and `CachePolicy`. `tags` names more tags of an answer, by its scope (the routed one); `changes`
    those that an unsafe request which succeeded takes away, beside what RFC 9111 says.

    Raises NotCached, SharedAnswerTimeout, and what the application raises where nothing stored may stand in for it.
    Close it with `aclose`: revalidations may be running. The store is the caller's to close.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: CacheStore,
        policy: CachePolicy | None = None,
        tags: Tags | None = None,
        changes: Tags | None = None,
        clock: Clock | None = None,
        hooks: CacheHooks | None = None,
    ) -> None:
        self.app = app
        self.store = store
        self.policy = policy or CachePolicy()
        self._clock = clock or SystemClock()
        self._hooks = hooks or LoggingHooks()
        self._landing = Landing(store, self.policy, tags, changes, self._clock, self._hooks)
        self._flights = Flights(app, self.policy, self._landing, self._clock, self._hooks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if not self.policy.date:
            send = undated(send)
        exchange = Exchange(Request.of(scope, self.policy), scope, receive, send)
        if exchange.request.forward is not None:
            passing = self._passing(exchange, exchange.request.forward, Outcome.BYPASS)
            return await self.app(scope, receive, passing)
        await self._answer(exchange)

    async def invalidate(self, tags: Collection[str], *, tenant: str | None = None) -> int:
        """Answers of `tenant` (default: the context's) that carry one of `tags` go; how many addresses there were.

        What the application was asked before is neither stored nor shared with whoever asks from now on. A memory
        store is this process's own: call it in every replica. Raises CacheUnavailable: try again.
        """
        owner = tenant if tenant is not None else current().tenant
        self._flights.detach(owner)
        count = await self.store.invalidate(tags=[tag_key(owner, tag) for tag in tags])
        tell(self._hooks.on_invalidated, InvalidatedDetails(owner, tuple(tags), count))
        return count

    async def clear(self) -> None:
        """Everything goes, of every tenant. Raises CacheUnavailable."""
        self._flights.detach()
        await self.store.clear()

    async def aclose(self) -> None:
        """Ends the revalidations, and what is asked for others by a client who has left. Requests go on."""
        await self._flights.aclose()

    async def _answer(self, exchange: Exchange) -> None:
        rounds, failed = _ROUNDS, False
        while True:
            sight = await self._look(exchange.request)
            if await self._from_store(exchange, sight):
                return None
            if "only-if-cached" in exchange.request.wants:
                raise NotCached
            if exchange.request.method == "HEAD" or exchange.request.text(b"range") is not None:
                return await self._pass_or_stand_in(exchange, sight)
            other = self._flights.under_way(exchange.request, sight.found) if rounds else None
            if other is None:
                return await self._lead(exchange, sight)
            if await self._share(exchange, sight, other, last=failed):
                return None
            failed = failed or other.broken
            rounds -= not other.hurried  # one who was in a hurry has had his turn, and has none again

    async def _look(self, request: Request) -> Sight:
        found = await self.store.get(request.key, request.headers)
        if found.answer is None:
            return Sight(found, None, "vary-miss" if found.others else "uri-miss")
        verdict = self._verdict(found.answer, request.wants)
        return Sight(found, verdict, "request" if verdict.fresh else "stale")

    def _verdict(self, answer: Answer, wants: Directives) -> Verdict:
        return judge(answer, wants, self._landing.now(), stale_if_error=self.policy.stale_if_error)

    async def _from_store(self, exchange: Exchange, sight: Sight) -> bool:
        answer, verdict = sight.found.answer, sight.verdict
        if answer is None or verdict is None or verdict.use is Use.VALIDATE:
            return False
        if verdict.use is Use.REFRESH:
            self._flights.refresh(exchange.request, exchange.scope, sight.found)
        status = CacheStatus(hit=True, ttl=verdict.ttl)
        await self._serve(exchange, answer, status, Outcome.HIT if verdict.fresh else Outcome.STALE)
        return True

    async def _serve(self, exchange: Exchange, answer: Answer, status: CacheStatus, outcome: Outcome) -> None:
        age = current_age(answer, self._landing.now())
        if answer.route not in {"", UNMATCHED}:
            exchange.scope["cortex.route"] = answer.route  # so that the access log knows it, though nothing was routed
        extra = [(b"cache-status", status.encode(self.policy.name))]
        sent = await send_answer(exchange.request, answer, age, extra, exchange.send)
        self._tell(exchange, outcome, sent, status.forward, collapsed=status.collapsed, age=age)

    async def _share(self, exchange: Exchange, sight: Sight, flight: Flight, *, last: bool) -> bool:
        """Whether this settled it. Not, where looking again may help: the answer was invalidated in flight, is for
        other request headers, or the application failed, not for the `last` time: one of those who wait asks again."""
        stand_in = sight.found.answer
        try:
            landed = await self._flights.wait_for(flight)
        except SharedAnswerTimeout:
            if not self._may_stand_in(stand_in):
                raise
            await self._serve_in_trouble(exchange, sight, stand_in, flight.status, flight.error)
            return True
        request, answer = exchange.request, landed.answer
        if landed.put is Put.OUTDATED or (answer is not None and answer.variant != _variant_of(request, answer)):
            return False
        if flight.failed:
            if self._may_stand_in(stand_in):
                await self._serve_in_trouble(exchange, sight, stand_in, flight.status, flight.error)
                return True
            if last and flight.broken:
                if isinstance(flight.error, CortexError):
                    raise flight.error
                raise SharedAnswerFailed(flight.status, retry_after=flight.retry_after) from flight.error
            return False
        if answer is not None and self._verdict(answer, request.wants).use is Use.SERVE:
            stored = landed.put is Put.STORED
            outcome = Outcome.REVALIDATED if flight.status == 304 else Outcome.MISS
            status = CacheStatus(forward=sight.reason, forward_status=flight.status, stored=stored, collapsed=True)
            await self._serve(exchange, answer, status, outcome)
        else:
            await self._lead(exchange, await self._look(request), alone=True)
        return True

    async def _lead(self, exchange: Exchange, sight: Sight, *, alone: bool = False) -> None:
        flight = self._flights.take_off(exchange.request, exchange.scope, sight.found, exchange.receive, alone=alone)
        flight.join()
        try:
            await flight.ready.wait()
            await self._answer_from(exchange, sight, flight)
        finally:
            _adopt(exchange.scope, flight.scope)
            flight.leave(reading=True)

    async def _answer_from(self, exchange: Exchange, sight: Sight, flight: Flight) -> None:
        stored = sight.found.answer
        if flight.failed and self._may_stand_in(stored):
            await self._serve_in_trouble(exchange, sight, stored, flight.status, flight.error)
        elif flight.freshened is not None:
            status = CacheStatus(forward=sight.reason, forward_status=304, stored=flight.stored)
            await self._serve(exchange, flight.freshened, status, Outcome.REVALIDATED)
        elif flight.status == 304 and stored is not None:  # about another representation than ours: ask for all of it
            await self._lead(exchange, Sight(Found(None, sight.found.ticket), None, sight.reason), alone=True)
        else:
            await self._relay(exchange, sight, flight)

    async def _relay(self, exchange: Exchange, sight: Sight, flight: Flight) -> None:
        """The application's answer as it comes, or 304 where the client holds it."""
        request = exchange.request
        received = flight.received if flight.stored else None
        silent = flight.status and unchanged_for(request, flight.status, flight.headers, received)
        status = 304 if silent else flight.status
        if status:
            headers = dated(self._landing.without_tags(flight.headers), flight.received)
            about = CacheStatus(forward=sight.reason, forward_status=flight.status, stored=flight.stored)
            start = not_modified_headers(headers) if silent else headers
            start.append((b"cache-status", about.encode(self.policy.name)))
            await exchange.send({"type": "http.response.start", "status": status, "headers": start})
            if silent:
                await exchange.send({"type": "http.response.body", "body": b""})
            self._tell(exchange, Outcome.MISS, status, sight.reason)
        async for body, more in flight.read():
            if not silent:
                await exchange.send({"type": "http.response.body", "body": body, "more_body": more})

    def _may_stand_in(self, answer: Answer | None) -> TypeGuard[Answer]:
        """Whether `stale-if-error` allows it, now that the application is in trouble."""
        return answer is not None and self._verdict(answer, NONE).on_error

    async def _serve_in_trouble(
        self, exchange: Exchange, sight: Sight, stored: Answer, status: int, error: BaseException | None
    ) -> None:
        if error is not None:
            tell(self._hooks.on_error, CacheErrorDetails("answer", error))
        about = CacheStatus(forward=sight.reason, forward_status=status or None, detail="stale-if-error")
        await self._serve(exchange, stored, about, Outcome.STALE)

    async def _pass_or_stand_in(self, exchange: Exchange, sight: Sight) -> None:
        """For what is asked by itself (HEAD, parts): what is stale stands in for an application in trouble."""
        stored, send, status = sight.found.answer, self._passing(exchange, sight.reason, Outcome.MISS), 0
        stands_in, error = self._may_stand_in(stored), None

        async def unless_failing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            if not (stands_in and status in FAILED):
                await send(message)

        try:
            await self.app(exchange.scope, exchange.receive, unless_failing)
        except Exception as raised:
            if not stands_in or (status and status not in FAILED):
                raise
            error = raised
        if self._may_stand_in(stored) and (status == 0 or status in FAILED):
            await self._serve_in_trouble(exchange, sight, stored, status, error)

    def _passing(self, exchange: Exchange, reason: str, outcome: Outcome) -> Send:
        """The client's `send`, for an answer that goes to it as it is. What a successful unsafe method may have changed
        is invalidated before its client hears of it (RFC 9111, 4.4)."""
        request = exchange.request

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = lower_names(message.get("headers", ()))
                status = message["status"]
                if request.method not in SAFE and 200 <= status < 400:
                    keys, tags = self._landing.changed(request, exchange.scope, headers)
                    self._flights.detach(request.tenant, None if tags else keys)
                    await self._landing.invalidate(request.tenant, keys=keys, tags=tags)
                said = CacheStatus(forward=reason, forward_status=status).encode(self.policy.name)
                message = {**message, "headers": [*self._landing.without_tags(headers), (b"cache-status", said)]}
                self._tell(exchange, outcome, status, reason)
            await exchange.send(message)

        return passing

    def _tell(
        self,
        exchange: Exchange,
        outcome: Outcome,
        status: int,
        forward: str | None,
        *,
        collapsed: bool = False,
        age: float | None = None,
    ) -> None:
        request = exchange.request
        tell(
            self._hooks.on_answer,
            AnswerDetails(outcome, request.tenant, request.method, request.path, status, forward, collapsed, age),
        )


def _variant_of(request: Request, answer: Answer) -> str:
    """The variant that the request would need of an answer which varies like this one."""
    return variant(answer.vary, request.headers)


def _adopt(scope: Scope, routed: Scope) -> None:
    """What routing found, for whoever looks at the client's own scope afterwards: the access log."""
    scope.update((name, routed[name]) for name in _ROUTING if name in routed)
