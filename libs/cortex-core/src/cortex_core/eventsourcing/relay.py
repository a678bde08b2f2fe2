"""The relay: what waits in the outbox goes to the bus, in the order it was written, at least once.

Owns the loop: wake or poll, publish a batch, mark it sent. A crash between the last two publishes the batch again, with
the same ids, and the consumers' inbox makes that one effect. While the bus is down the relay waits longer and longer
(full jitter) and loses nothing; its hook hears of each failure. Refuses to know what messages mean and where they go.
One relay a store keeps the order; several are safe (duplicates) but may mix it: a leader lease comes with replicas.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cortex_core.eventsourcing.records import Message
from cortex_core.eventsourcing.store import Outbox
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.errors import CortexError

_log = logging.getLogger(__name__)

Publish = Callable[[Sequence[Message]], Awaitable[None]]
"""All of them, in order; durable when it returns."""

Stage = Literal["read", "publish", "mark"]


@dataclass(frozen=True, slots=True)
class RelayError:
    """A round that failed: in which stage, the how-manieth in a row, and how long (seconds) until the next.

    `retryable` False means that time alone will not heal it: the relay goes on trying, but somebody should look.
    """

    stage: Stage
    attempt: int
    delay: float
    messages: int
    error: Exception

    @property
    def retryable(self) -> bool:
        if isinstance(self.error, CortexError):
            return self.error.retryable
        return isinstance(self.error, TimeoutError | ConnectionError)

    def fields(self) -> dict[str, Any]:
        """For a log line."""
        return {
            "stage": self.stage,
            "attempt": self.attempt,
            "delay": round(self.delay, 3),
            "messages": self.messages,
            "error": type(self.error).__name__,
            "code": getattr(self.error, "code", None),
            "reason": str(self.error),
            "retryable": self.retryable,
        }


class OnRelayError(Protocol):
    """Called before the wait: it must be quick."""

    def __call__(self, details: RelayError, /) -> None: ...


class OnPending(Protocol):
    """Told before and after each batch how many messages wait: a gauge."""

    def __call__(self, pending: int, /) -> None: ...


class _RoundFailed(Exception):
    """Never leaves this file: it carries the stage to the back-off."""

    def __init__(self, stage: Stage, messages: int, error: Exception) -> None:
        self.stage, self.messages, self.error = stage, messages, error


class Relay:
    """See the module. `batch` messages a round; `interval`, `base_delay` and `max_delay` in seconds."""

    def __init__(
        self,
        outbox: Outbox,
        publish: Publish,
        *,
        clock: Clock | None = None,
        on_error: OnRelayError | None = None,
        on_pending: OnPending | None = None,
        interval: float = 1.0,
        batch: int = 256,
        base_delay: float = 0.1,
        max_delay: float = 5.0,
        rng: random.Random | None = None,
    ) -> None:
        if min(interval, base_delay) <= 0 or max_delay < base_delay or batch < 1:
            raise ValueError("interval, batch and base_delay must be positive, max_delay not below base_delay")
        self._outbox = outbox
        self._publish = publish
        self._clock = clock or SystemClock()
        self._on_error = on_error
        self._on_pending = on_pending
        self._interval = interval
        self._batch = batch
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._woken = asyncio.Event()
        self._unmarked: list[str] = []  # published, and only the mark is missing: never published again for that

    def wake(self) -> None:
        """There is something to do now. Does not shorten a back-off."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled. What was published and not yet marked then is published again by the next run."""
        unwatch = self._outbox.watch(self.wake)
        attempt = 0
        try:
            while True:
                self._woken.clear()  # before the look: what is added during it wakes us again
                try:
                    full = await self._round()
                except _RoundFailed as failure:
                    attempt += 1
                    await self._back_off(failure, attempt)
                    continue
                attempt = 0
                if not full:
                    await self._idle()
        finally:
            unwatch()

    async def _round(self) -> bool:
        """Whether there was a whole batch, so that there may be more."""
        stage: Stage = "mark"
        messages: list[Message] = []
        try:
            await self._mark()
            stage = "read"
            messages = await self._outbox.pending(self._batch)
            await self._report_pending()  # before it can fail: while the bus is down is when somebody looks
            if messages:
                stage = "publish"
                await self._publish(messages)
                self._unmarked = [message.id for message in messages]
                stage = "mark"
                await self._mark()
                stage = "read"
                await self._report_pending()
        except Exception as error:  # judged by nobody here: whatever it is, the messages are kept and tried again
            raise _RoundFailed(stage, len(messages), error) from error
        return len(messages) == self._batch

    async def _mark(self) -> None:
        if self._unmarked:
            await self._outbox.mark_sent(self._unmarked)
            self._unmarked = []

    async def _back_off(self, failure: _RoundFailed, attempt: int) -> None:
        ceiling = min(self._max_delay, self._base_delay * 2.0 ** min(attempt - 1, 64))
        delay = self._rng.uniform(0.0, ceiling)
        self._tell(RelayError(failure.stage, attempt, delay, failure.messages, failure.error))
        await self._clock.sleep(delay)

    def _tell(self, details: RelayError) -> None:
        if self._on_error is None:
            _log.warning("the relay waits: %s", details.fields())
            return
        try:
            self._on_error(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not stop the outbox
            _log.exception("a relay hook failed")

    async def _report_pending(self) -> None:
        if self._on_pending is not None:
            self._on_pending(await self._outbox.count_pending())

    async def _idle(self) -> None:
        """Until somebody wakes us, at most `interval`: another process may have added messages too."""
        waiting = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._clock.sleep(self._interval))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
