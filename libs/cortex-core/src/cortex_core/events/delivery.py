"""Delivery: one event to one handler, and what becomes of it. The same for every bus.

Owns the judgement: a handler that returns has had the event; a CortexError that is `retryable` brings it again after a
back-off with full jitter; anything else, and the last attempt, make it a dead letter. Refuses to know where entries
come from and where verdicts go: that is a `Settle`.
"""

import asyncio
import random
import time
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from cortex_core.events.backlog import Backlog, Entry
from cortex_core.events.bus import ConsumerPolicy, Handler
from cortex_core.events.envelope import CloudEvent, MalformedEvent
from cortex_core.events.hooks import DeliveryDetails, Outcome, SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import Context, TraceContext, use_context
from cortex_core.kernel.errors import CortexError, Kind

TURN: Final = 0.001  # seconds that handlers which never wait have, before everybody else's turn
DRAIN: Final = 3.0  # seconds: `cortex up` wants all to have ended in 5


class EventAbandoned(CortexError):
    """Delivered as often as the policy allows, and no consumer lived to say how it went: it may be what kills them."""

    code, kind = "event.abandoned", Kind.INTERNAL


class EventTrimmed(CortexError):
    """The stream's limit cut the event off before this group had handled it."""

    code, kind = "event.trimmed", Kind.INTERNAL


@dataclass(frozen=True, slots=True)
class Burial:
    """Why an entry becomes a dead letter."""

    code: str
    reason: str
    attempts: int


class Settle(Protocol):
    """Where verdicts go. None of these may fail or wait: what they record is made true as soon as the bus allows."""

    def ack(self, entry: Entry) -> None: ...
    def retry(self, entry: Entry) -> None: ...
    def bury(self, entry: Entry, burial: Burial) -> None: ...


def decoded(raw: bytes) -> tuple[CloudEvent | None, MalformedEvent | None]:
    """The event, or why it is none."""
    try:
        return CloudEvent.from_json(raw), None
    except MalformedEvent as error:
        return None, error
    except (RecursionError, OverflowError, TypeError) as error:  # what bytes from elsewhere can do to a parser
        return None, MalformedEvent(f"{type(error).__name__}: {error}")


def surroundings(event: CloudEvent) -> Context:
    """The context in which an event is handled: its own tenant and trace, and nothing of who happened to listen."""
    return Context(trace=TraceContext.parse(event.traceparent, event.tracestate or ""), tenant=event.tenant)


class Worker:
    """Handles what comes into a backlog, one entry at a time, until it is closed."""

    def __init__(
        self,
        group: str,
        handler: Handler,
        policy: ConsumerPolicy,
        backlog: Backlog,
        settle: Settle,
        *,
        clock: Clock,
        hooks: SafeHooks,
        drain: float,
        streams: frozenset[str] | None = None,
    ) -> None:
        """`drain`: the seconds a handler has to end when we are closed. `streams`: what of the backlog is for this
        worker, where several share it; None is all."""
        self._drain: Final = drain
        self._streams: Final = streams
        self._group: Final = group
        self._handler: Final = handler
        self._policy: Final = policy
        self._backlog: Final = backlog
        self._settle: Final = settle
        self._hooks: Final = hooks
        self._random: Final = random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._loop: Final = Loop(self._next, work=f"handle {group}", clock=clock, hooks=hooks)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Takes nothing more from now on."""
        self._loop.stop()

    def is_current(self) -> bool:
        """Whether it is our handler that asks."""
        return self._loop.is_current()

    async def aclose(self) -> None:
        """Takes nothing more; returns when the handler at work has ended and its verdict is given. One that does not
        end in time is cancelled, and its event has not been handled."""
        await self._loop.aclose(self._drain)

    async def _next(self) -> None:
        """One entry, and those that are there already: a turn of the loop for each costs more than a quick handler."""
        entry: Entry | None = await self._backlog.take(self._streams)
        until = time.perf_counter() + TURN
        while entry is not None:
            with self._loop.undisturbed():
                try:
                    await self._handle(entry)
                except asyncio.CancelledError:
                    self._backlog.retry(entry, 0.0)
                    raise
            if self._loop.is_closing() or time.perf_counter() > until:
                return
            entry = self._backlog.take_now(self._streams)

    async def _handle(self, entry: Entry) -> None:
        started = time.perf_counter()
        error = await self._outcome(entry)
        seconds = time.perf_counter() - started
        if error is None:
            self._backlog.done(entry)
            self._settle.ack(entry)
            return self._tell(entry, Outcome.DELIVERED, seconds)
        if isinstance(error, CortexError) and error.retryable and entry.attempt < self._policy.attempts:
            delay = self._delay(entry.attempt, error)
            again = replace(entry, attempt=entry.attempt + 1)
            self._backlog.retry(again, delay)
            self._settle.retry(again)
            return self._tell(entry, Outcome.RETRIED, seconds, error, delay)
        self._backlog.done(entry)
        self._settle.bury(entry, _burial(entry, error))
        return self._tell(entry, Outcome.DEAD, seconds, error)

    async def _outcome(self, entry: Entry) -> Exception | None:
        """What went wrong, or None."""
        if entry.event is None:
            return entry.error or MalformedEvent("no event")
        if entry.attempt > self._policy.attempts:
            return EventAbandoned(f"delivered {entry.attempt - 1} times, and nobody said how it went")
        try:
            with use_context(surroundings(entry.event)):
                await self._handler(entry.event)
        except Exception as error:  # noqa: BLE001 - judged by our caller: to be retried, or kept as a dead letter
            return error
        return None

    def _delay(self, attempt: int, error: CortexError) -> float:
        """Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), at least what the error
        asks for, at most `max_backoff`."""
        policy = self._policy
        ceiling = min(policy.max_backoff, policy.backoff * 2.0 ** min(attempt - 1, 64))
        return min(policy.max_backoff, max(error.retry_after or 0.0, self._random.uniform(0.0, ceiling)))

    def _tell(self, entry: Entry, outcome: Outcome, seconds: float, *rest: Any) -> None:
        self._hooks.on_delivery(
            DeliveryDetails(entry.topic, self._group, entry.event, outcome, entry.attempt, seconds, *rest)
        )


class Broadcast:
    """One fan-out handler: an error of its own is told once, and ends nothing (original's defect 8)."""

    def __init__(self, handler: Handler, hooks: SafeHooks) -> None:
        self._handler: Final = handler
        self._hooks: Final = hooks

    async def __call__(self, entry: Entry) -> None:
        started = time.perf_counter()
        error = entry.error
        if entry.event is not None:
            try:
                with use_context(surroundings(entry.event)):
                    await self._handler(entry.event)
            except Exception as failure:  # noqa: BLE001 - told below; there is nobody to raise it to
                error = failure
        outcome = Outcome.DELIVERED if error is None else Outcome.FAILED
        seconds = time.perf_counter() - started
        self._hooks.on_delivery(DeliveryDetails(entry.topic, None, entry.event, outcome, 1, seconds, error))


def _burial(entry: Entry, error: Exception) -> Burial:
    never_ran = entry.event is None
    attempts = entry.attempt - 1 if isinstance(error, EventAbandoned) else entry.attempt
    if isinstance(error, CortexError):
        return Burial(error.code, str(error), 0 if never_ran else attempts)
    return Burial("internal", f"{type(error).__name__}: {error}", attempts)
