"""Leadership: work that one of several replicas does, under a lease that is kept renewed while it lasts.

    async with leadership.held() as lease:
        ...  # cancelled, and LeaseLost raised, as soon as the lease cannot be believed in any more

A holder believes in its lease by its own monotonic clock, from the moment *before* the request for it was sent, and
`margin` less than the store does: whatever the answer took, the belief ends first. What a process does that was stopped
in between and has not looked at its clock yet, no lease can prevent: show the store your epoch (fencing.py).

Owns asking, renewing, believing and giving back. Refuses to know what is done. Protocol and terms: C. Gray and D.
Cheriton, "Leases" (SOSP 1989).
"""

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from cortex_core.eventsourcing.leases import Lease, LeaseLost, Leases, check_terms
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.ids import new_id

_log = logging.getLogger(__name__)

TTL: Final = 3.0
_GIVING_BACK: Final = 1.0  # seconds for the release: after that the lease ends by itself

Turn = Literal["gained", "lost", "released", "trouble"]


@dataclass(frozen=True, slots=True)
class LeadershipDetails:
    """What happened to the leadership `name`: gained, lost, released; or trouble with the store, which is asked again.

    `epoch` is 0 where none is held; `error` says why it was lost, or what the trouble is.
    """

    turn: Turn
    name: str
    holder: str
    epoch: int = 0
    error: Exception | None = None

    def fields(self) -> dict[str, Any]:
        """For a log line."""
        said = {"turn": self.turn, "lease": self.name, "holder": self.holder, "epoch": self.epoch}
        return said if self.error is None else {**said, "error": type(self.error).__name__, "reason": str(self.error)}


class OnLeadership(Protocol):
    """Called at each turn: it must be quick. What it raises is logged and costs nothing."""

    def __call__(self, details: LeadershipDetails, /) -> None: ...


@dataclass(slots=True)
class _Term:
    """One time of holding it. `until` is when the belief ends, by our monotonic clock."""

    lease: Lease
    until: float
    task: asyncio.Task[Any]
    cancels: int
    lost: LeaseLost | None = None
    cancelled: bool = False
    over: bool = False


class Leadership:
    """See the module. Times in seconds.

    `ttl` is how long a leader that died is missed, and `ttl` / 4 more until another notices; a leader renews it each
    `ttl` / 3. `margin` is how much earlier the holder stops believing: `ttl` / 5 unless said. `holder` must be this
    object's own: host, process and a random word unless said. One `held` at a time.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        *,
        holder: str | None = None,
        ttl: float = TTL,
        margin: float | None = None,
        clock: Clock | None = None,
        on_turn: OnLeadership | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Raises ValueError."""
        self.name: Final = name
        self.holder: Final = f"{socket.gethostname()}-{os.getpid()}-{new_id('h')[-8:]}" if holder is None else holder
        check_terms(name, self.holder, ttl)
        self._margin = ttl / 5 if margin is None else margin
        if not 0 <= self._margin <= ttl / 2:
            raise ValueError(f"margin must be from 0 to half of ttl, not {margin}")
        self._leases = leases
        self._ttl = ttl
        self._clock = clock or SystemClock()
        self._on_turn = on_turn
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._term: _Term | None = None

    @property
    def lease(self) -> Lease | None:
        """What is held and believed in at this moment; None for a follower."""
        term = self._term
        return term.lease if term is not None and self._believes(term) else None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Lease]:
        """Waits until the lease is ours, keeps it while the block runs, and gives it back.

        Raises LeaseLost when it was lost before the block ended: the block has been cancelled then, as by
        `asyncio.timeout`. Trouble of the store is no error here; it is waited for.
        """
        term = self._term = await self._campaign()
        self._tell("gained", term.lease.epoch)
        keeper = asyncio.create_task(self._keep(term), name=f"lease {self.name}")
        try:
            yield term.lease
        except asyncio.CancelledError:
            if term.lost is None or term.task.cancelling() > term.cancels + term.cancelled:  # somebody else's, too
                raise
            raise term.lost from None
        finally:
            term.over = True
            if term.cancelled:
                term.task.uncancel()
            self._term = None
            keeper.cancel()
            try:
                await asyncio.wait([keeper])  # not `await keeper`: its cancellation is not told from one of ours
            finally:
                await self._give_back(term)

    async def confirm(self, lease: Lease) -> None:
        """Asks the store, within `held`, whether this is so; and if it is, for longer. For work that has found signs of
        another's. Raises LeaseLost, EventStoreUnavailable."""
        asked, term = self._clock.monotonic(), self._term
        try:
            renewed = await self._leases.renew(lease)
        except LeaseLost as lost:
            if term is not None:
                term.lost = term.lost or lost
            raise
        if term is not None and term.lost is None:
            term.lease, term.until = renewed, max(term.until, self._belief(asked))

    async def _campaign(self) -> _Term:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        while True:
            asked = self._clock.monotonic()
            try:
                lease = await self._leases.acquire(self.name, self.holder, self._ttl)
            except Exception as error:  # noqa: BLE001 - the store's trouble, whatever it is: it is asked again
                self._tell("trouble", 0, error)
                lease = None
            if lease is not None:
                term = _Term(lease, self._belief(asked), task, task.cancelling())
                if self._believes(term):
                    return term
            await self._clock.sleep(self._rng.uniform(self._ttl / 8, self._ttl / 4))

    async def _keep(self, term: _Term) -> None:
        alarm = self._clock.call_later(term.until - self._clock.monotonic(), lambda: self._check(term))
        try:
            while term.lost is None:
                await self._clock.sleep(self._ttl / 3)
                if await self._renew(term):
                    alarm.cancel()
                    alarm = self._clock.call_later(term.until - self._clock.monotonic(), lambda: self._check(term))
        finally:
            alarm.cancel()

    async def _renew(self, term: _Term) -> bool:
        asked = self._clock.monotonic()
        try:
            lease = await self._leases.renew(term.lease)
        except LeaseLost as lost:
            self._lose(term, lost)
            return False
        except Exception as error:  # noqa: BLE001 - the store's trouble: while we may believe, we go on, and ask again
            self._tell("trouble", term.lease.epoch, error)
            return False
        if term.lost is not None:
            return False
        term.lease, term.until = lease, self._belief(asked)
        return True

    def _belief(self, asked: float) -> float:
        return asked + self._ttl - self._margin

    def _believes(self, term: _Term) -> bool:
        return term.lost is None and self._clock.monotonic() < term.until

    def _check(self, term: _Term) -> None:
        if not self._believes(term):
            self._lose(term, LeaseLost(term.lease))

    def _lose(self, term: _Term, lost: LeaseLost) -> None:
        """The block is cancelled, once, and not after it has ended."""
        if term.lost is None and not term.over:
            term.lost, term.cancelled = lost, True
            term.task.cancel()

    async def _give_back(self, term: _Term) -> None:
        """Also what was lost: it is harmless, and may be ours in the store's eyes for a while yet."""
        if term.lost is not None:
            self._tell("lost", term.lease.epoch, term.lost)
        try:
            async with asyncio.timeout(_GIVING_BACK):
                await self._leases.release(term.lease)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease ends by itself
            self._tell("trouble", term.lease.epoch, error)
        else:
            if term.lost is None:
                self._tell("released", term.lease.epoch)

    def _tell(self, turn: Turn, epoch: int, error: Exception | None = None) -> None:
        details = LeadershipDetails(turn, self.name, self.holder, epoch, error)
        if self._on_turn is None:
            _log.info("leadership: %s", details.fields())
            return
        try:
            self._on_turn(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the lease
            _log.exception("a leadership hook failed")
