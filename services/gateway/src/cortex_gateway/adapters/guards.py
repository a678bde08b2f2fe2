"""What stands before each service: so many places, a circuit, and one more attempt where that is safe and may help.

A service that is down costs its callers a connection's attempt at first and nothing once its circuit is open; nobody
else pays for it. Refuses to know what a request is: it is handed the beginning of one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

import aiohttp

from cortex_core.chassis import UNWELL, Resilience, Unwell, UpstreamUnavailable
from cortex_core.resilience import CircuitOpenError, Refusal, is_idempotent
from cortex_gateway.ports import Call
from cortex_gateway.routes import Service

CONNECT: Final = 0.45  # seconds to a service on the same network: longer means that it is not there; twice is < 1 s

T = TypeVar("T")
Begin = Callable[[], Awaitable[aiohttp.ClientResponse]]
Guarded = Callable[[Begin], Awaitable[aiohttp.ClientResponse]]


class Guard:
    """`places` requests at a time, `patience` seconds for those who wait for one; see `Resilience.upstream`. Evidence:
    no connection, no sign of life, 502 to 504."""

    def __init__(self, service: Service, resilience: Resilience, places: int, *, patience: float) -> None:
        self._service = service
        self._upstream = resilience.upstream(service, places, queue_timeout=patience)
        self._retry = resilience.retry(
            service, max_attempts=2, base_delay=0.02, max_delay=0.1, deadline=CONNECT, retry_on=_is_worth_it
        )

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises UpstreamUnavailable where there is none."""
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._upstream.bulkhead)
            except Refusal as refusal:
                raise unavailable(self._service, "too many ask it at once", attempted=False) from refusal
            yield

    async def begin(self, call: Call, begin: Begin) -> aiohttp.ClientResponse:
        """The answer's beginning. What has no body and may be asked twice is asked twice, where the first time no
        answer began."""
        guarded = partial(self._upstream.breaker.execute, _watched, begin)
        if call.body is None and is_idempotent(call.method):
            return await self._judged(partial(self._retry.execute, guarded))
        return await self._judged(guarded)

    async def open(self, handshake: Callable[[], Awaitable[T]]) -> T:
        """A WebSocket's opening: it needs a place until it is through, and then no more. Raises what `place` does."""
        async with self.place():
            return await self._judged(partial(self._upstream.breaker.execute, handshake))

    async def _judged(self, call: Callable[[], Awaitable[T]]) -> T:
        """An answer, whatever the circuit makes of it."""
        try:
            return await call()
        except Unwell as unwell:
            return cast("T", unwell.answer)
        except CircuitOpenError as refusal:
            raise unavailable(self._service, "its circuit is open", attempted=False) from refusal


async def _watched(begin: Begin) -> aiohttp.ClientResponse:
    response = await begin()
    if response.status in UNWELL:
        raise Unwell(response, response.status)
    return response


def _is_worth_it(error: Exception) -> bool:
    return isinstance(error, UpstreamUnavailable)


def unavailable(service: Service, why: str, **more: Any) -> UpstreamUnavailable:
    """When to come back is not said here: our own retry would have to keep to it. The answer says a second."""
    return UpstreamUnavailable(f"the {service} service is not there now ({why})", service=service, **more)
