"""The relay: what waits in the outbox goes to the bus, in the order it was written, at least once; and again, where the
bus has lost it.

Of all replicas one relays, under the lease `relay`: so the order of one subject's messages is kept, and each is
published once while nothing goes wrong. Every batch has a number, which the bus keeps with the messages; a publication
says which number it follows, and the bus refuses it where another stands there. Three things come of it:

- A bus that was wiped, or came back without its last second, or as a replica that had lagged, shows an older number.
  What is kept of the batches above it is published again, in their order and under their own numbers, before anything
  new.
- A leader that was stopped, replaced, and goes on unawares publishes nothing, because the number has moved; and marks
  nothing, because the store refuses its epoch.
- A publication whose answer was lost shows in the next look, and is not made twice.

A crash between publication and mark publishes the batch again, with the same ids, and the consumers' inbox makes that
one effect. While the bus is down the relay waits longer and longer (full jitter) and loses nothing.

Owns the loop: lead, wake or poll, wait. Refuses to know what messages mean and where they go. Why it is so:
docs/adr/0017. Next: `tenure.py` is what a leader does; `trimming.py` ends what is kept.
"""

import asyncio
import logging
import math
import random
from dataclasses import dataclass
from typing import Final

from cortex_core.eventsourcing.fencing import Fenced
from cortex_core.eventsourcing.leadership import Leadership
from cortex_core.eventsourcing.leases import Lease, LeaseLost
from cortex_core.eventsourcing.relay_hooks import BacklogDetails, RelayError, RelayHooks, SafeRelayHooks
from cortex_core.eventsourcing.store import Outbox
from cortex_core.eventsourcing.tenure import Tenure, Wire
from cortex_core.kernel.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

RELAY: Final = "relay"
"""The lease's name."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """`batch` messages and `max_bytes` of payload a publication, but at least one message. Times in seconds: `interval`
    between looks into the outbox while nobody wakes the relay, `look` between questions to the bus while nothing is
    published, `base_delay` doubling to `max_delay` while something fails."""

    batch: int = 200
    max_bytes: int = 1 << 20
    interval: float = 1.0
    look: float = 5.0
    base_delay: float = 0.1
    max_delay: float = 5.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        for name in ("batch", "max_bytes", "interval", "look", "base_delay", "max_delay"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.max_delay < self.base_delay:
            raise ValueError(f"max_delay must not be below base_delay, {self.base_delay}, but is {self.max_delay}")


class Relay:
    """See the module. `leadership` is that of the lease `RELAY` in the outbox's own store."""

    def __init__(
        self,
        outbox: Outbox,
        wire: Wire,
        leadership: Leadership,
        *,
        settings: RelaySettings | None = None,
        clock: Clock | None = None,
        hooks: RelayHooks | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._wire = wire
        self._leadership = leadership
        self._settings = settings or RelaySettings()
        self._clock = clock or SystemClock()
        self._hooks = SafeRelayHooks(hooks)
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._woken = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._failing = False
        self._reported = -math.inf  # when, by the clock

    @property
    def leads(self) -> bool:
        """Whether this is the one, as far as it knows."""
        return self._leadership.lease is not None

    @property
    def failing(self) -> bool:
        """Whether what it tried last has failed."""
        return self._failing

    def wake(self) -> None:
        """There is something to do now. Does not shorten a back-off."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled; then it gives the lease back. What was published and not yet marked by then, the next
        leader publishes again."""
        unwatch = self._outbox.watch(self.wake)
        try:
            while True:
                try:
                    async with self._leadership.held() as lease:
                        await self._lead(lease)
                except (LeaseLost, Fenced):
                    self._failing = False
                    self._at_rest.set()  # another leads, or will: for this one there is nothing to do
        finally:
            unwatch()

    async def settle(self, within: float) -> None:
        """Returns when nothing waits any more; at once where another leads, or something fails; in any case after
        `within` seconds of the loop's own time. For the end of a service, whose last events would have to wait for the
        next one's start."""
        if not self.leads or self._failing:
            return
        self._at_rest.clear()
        self.wake()
        try:
            async with asyncio.timeout(within):
                await self._at_rest.wait()
        except TimeoutError:
            return

    async def _lead(self, lease: Lease) -> None:
        """Returns when the epoch has no numbers left; the next one is a moment away."""
        tenure = Tenure(
            self._outbox,
            self._wire,
            lease,
            self._leadership.confirm,
            limit=self._settings.batch,
            max_bytes=self._settings.max_bytes,
            clock=self._clock,
            hooks=self._hooks,
        )
        attempt = 0
        while not tenure.over:
            self._woken.clear()  # before the look: what is added during it wakes us again
            try:
                more = await tenure.round()
                tenure.stage, tenure.messages = "read", 0
                await self._report(due=self._reported + (self._settings.interval if more else 0.0))
            except (LeaseLost, Fenced):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages are kept and tried again
                attempt += 1
                await self._back_off(tenure, attempt, error)
            else:
                attempt, self._failing = 0, False
                if not more:
                    await self._rest(tenure)

    async def _report(self, due: float) -> None:
        """What waits, for a gauge; not after each of many batches."""
        if self._clock.monotonic() >= due:
            self._reported = self._clock.monotonic()
            pending, oldest = await self._outbox.count_pending(), await self._outbox.oldest_pending()
            self._hooks.on_backlog(BacklogDetails(pending, oldest))

    async def _back_off(self, tenure: Tenure, attempt: int, error: Exception) -> None:
        tenure.doubt()
        ceiling = min(self._settings.max_delay, self._settings.base_delay * 2.0 ** min(attempt - 1, 64))
        delay = self._rng.uniform(0.0, ceiling)
        self._hooks.on_error(RelayError(tenure.stage, attempt, delay, tenure.messages, error))
        self._failing = True
        self._at_rest.set()
        if tenure.stage in ("look", "publish", "repair"):  # the bus is down: that is when somebody looks at the gauge
            try:
                await self._report(due=self._reported + self._settings.interval)
            except Exception as unseen:  # noqa: BLE001 - the store, too: what the relay waits for has been told
                _log.debug("the backlog cannot be told: %r", unseen)
        await self._clock.sleep(delay)

    async def _rest(self, tenure: Tenure) -> None:
        """Until somebody wakes us, at most `interval`: another process may have added messages, too."""
        if self._woken.is_set():
            return
        self._at_rest.set()
        waiting = [
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._clock.sleep(self._settings.interval)),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        tenure.doubt(self._settings.look)
