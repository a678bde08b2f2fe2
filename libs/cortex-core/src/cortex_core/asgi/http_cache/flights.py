"""The flights under way: at most one for a key and variant, which whoever asks for the same waits for."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from cortex_core.asgi.http_cache.answer import Answer
from cortex_core.asgi.http_cache.directives import NONE
from cortex_core.asgi.http_cache.errors import RefreshFailed, SharedAnswerTimeout
from cortex_core.asgi.http_cache.fields import variant
from cortex_core.asgi.http_cache.flight import Errand, Flight, Landed
from cortex_core.asgi.http_cache.hooks import CacheErrorDetails, CacheHooks, tell
from cortex_core.asgi.http_cache.landing import Landing
from cortex_core.asgi.http_cache.policy import CachePolicy
from cortex_core.asgi.http_cache.request import Request
from cortex_core.asgi.http_cache.reuse import judge
from cortex_core.asgi.http_cache.store import Found
from cortex_core.asgi.http_cache.validation import PRECONDITIONS, request_headers
from cortex_core.asgi.types import ASGIApp, Receive, Scope
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current, use_context

_ALONE: Final = 10.0  # seconds for which nobody waits for another's answer, after one that could not be shared
_UNSTORABLE: Final = 3600.0  # seconds for which clients' conditions reach the application, after one not to be stored
_LONERS: Final = 4096
_SLACK: Final = (
    0.05  # seconds before a deadline in which a failure is the deadline's: whoever was told of it gives up first
)


@dataclass(frozen=True, slots=True)
class _Loner:
    """An address whose last answer could not be shared, `since` when, and whether it could not be stored either."""

    since: float
    unstorable: bool


class Flights:
    """Starts, shares and ends them."""

    def __init__(self, app: ASGIApp, policy: CachePolicy, landing: Landing, clock: Clock, hooks: CacheHooks) -> None:
        self._app = app
        self._policy = policy
        self._landing = landing
        self._clock = clock
        self._hooks = hooks
        self._shared: dict[tuple[str, str], tuple[str, Flight]] = {}
        self._tasks: dict[asyncio.Task[None], Flight | None] = {}
        self._refreshing = 0
        self._alone: OrderedDict[str, _Loner] = OrderedDict()

    def under_way(self, request: Request, found: Found) -> Flight | None:
        """The flight whose answer this request may share, if its answer can be shared."""
        if "no-cache" in request.wants or request.wants.seconds("max-age") == 0:
            return None  # it wants what the application says from now on
        if self._is_alone(request.key):
            return None
        shared = self._shared.get(_place(request, found))
        return shared[1] if shared else None

    def take_off(
        self, request: Request, scope: Scope, found: Found, receive: Receive | None, *, alone: bool = False
    ) -> Flight:
        """Asks the application. Unless `alone`, whoever comes later may share the answer."""
        conditions = found.answer is None and self._goes_through(request)
        alone = alone or conditions or self._is_alone(request.key)
        flight = Flight(
            self._app,
            Errand(
                request.key,
                variant(found.vary, request.headers),
                self._landing.now(),
                found.ticket,
                found.answer,
                current().deadline,
            ),
            _scope_for(request, scope, found.answer, conditions=conditions),
            receive,
            max_body=self._policy.max_body,
            heard=partial(self._landing.heard, request),
            land=partial(self._landing.land, request),
            over=partial(self._over, _place(request, found)),
        )
        if not alone:
            self._shared[_place(request, found)] = (request.tenant, flight)
        self._watch(flight.task, flight)
        return flight

    async def wait_for(self, flight: Flight) -> Landed:
        """What became of it; nothing where that takes longer than the policy allows. Raises SharedAnswerTimeout where
        the context's deadline is nearer."""
        deadline = current().deadline
        left = float("inf") if deadline is None else deadline - self._clock.monotonic()
        expired = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(
            max(0.0, min(left, self._policy.collapse_wait)), partial(expired.set_result, None)
        )
        flight.join()
        try:
            await asyncio.wait((flight.landed, expired), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            flight.leave()
        if flight.landed.done():
            return flight.landed.result()
        if left <= self._policy.collapse_wait:
            raise SharedAnswerTimeout("the shared answer did not come before the deadline")
        return Landed()

    def refresh(self, request: Request, scope: Scope, found: Found) -> None:
        """Revalidates behind the client's back, unless somebody does, or too many are."""
        if self._refreshing >= self._policy.refreshes or _place(request, found) in self._shared:
            return
        self._refreshing += 1
        with use_context(deadline=None):  # the client is answered: his deadline is not this work's
            flight = self.take_off(request, scope, found, None)
            self._watch(asyncio.create_task(self._see_through(flight), name="http-cache refresh"))

    def detach(self, tenant: str | None = None, keys: Collection[str] | None = None) -> None:
        """Nobody joins these any more: something was changed after they asked."""
        for place, (owner, _) in [*self._shared.items()]:
            if (tenant is None or owner == tenant) and (keys is None or place[0] in keys):
                del self._shared[place]

    async def aclose(self) -> None:
        """Ends what no client's own request is waiting for."""
        self._shared.clear()
        ending = [task for task, flight in self._tasks.items() if flight is None or not flight.attended]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _see_through(self, flight: Flight) -> None:
        timer = self._clock.call_later(self._policy.refresh_timeout, flight.give_up)
        flight.join()
        try:
            await asyncio.wait((flight.landed,))  # awaited itself, it would be cancelled with this task
        finally:
            timer.cancel()
            flight.leave()
            self._refreshing -= 1
        if flight.failed:
            error = flight.error if isinstance(flight.error, Exception) else RefreshFailed(flight.status)
            tell(self._hooks.on_error, CacheErrorDetails("refresh", error))

    def _over(self, place: tuple[str, str], flight: Flight) -> None:
        """Nobody joins what has landed. Where there was nothing to share, nobody waits for the next one either."""
        if self._shared.get(place, (None, None))[1] is flight:
            del self._shared[place]
        deadline = flight.errand.deadline
        in_time = deadline is None or self._clock.monotonic() < deadline - _SLACK
        flight.hurried = flight.failed and not in_time
        answer, key = flight.landed.result().answer, flight.errand.key
        if answer is not None and judge(answer, NONE, self._landing.now()).fresh:
            self._alone.pop(key, None)
        elif not flight.failed and (flight.status != 304 or flight.errand.stored is not None):
            self._alone[key] = _Loner(self._clock.monotonic(), answer is None)
            self._alone.move_to_end(key)
            if len(self._alone) > _LONERS:
                self._alone.popitem(last=False)

    def _is_alone(self, key: str) -> bool:
        loner = self._alone.get(key)
        return loner is not None and self._clock.monotonic() - loner.since < _ALONE

    def _goes_through(self, request: Request) -> bool:
        """Whether the client's conditions are the application's to judge: it has an answer for one client only."""
        loner = self._alone.get(request.key)
        if loner is None or not loner.unstorable or self._clock.monotonic() - loner.since >= _UNSTORABLE:
            return False
        return any(request.text(name) is not None for name in PRECONDITIONS)

    def _watch(self, task: asyncio.Task[None], flight: Flight | None = None) -> None:
        self._tasks[task] = flight
        task.add_done_callback(self._tasks.pop)


def _place(request: Request, found: Found) -> tuple[str, str]:
    return request.key, variant(found.vary, request.headers)


def _scope_for(request: Request, scope: Scope, stored: Answer | None, *, conditions: bool) -> Scope:
    """Of the flight's own. Extensions are the client's connection's."""
    headers = request_headers(request.headers, stored, conditions=conditions)
    return {**scope, "method": "GET", "headers": headers, "extensions": {}}
