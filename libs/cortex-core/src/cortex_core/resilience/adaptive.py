"""Adaptive limit: as many calls at a time as the callee answers without queueing, found by watching its latency.

Owns the number. It follows Netflix's Gradient2 (github.com/Netflix/concurrency-limits): the limit moves by the ratio of
the long-term latency to the short-term one, with room for a queue of √limit, and falls by `backoff` when calls are
dropped (AIMD, as TCP does). One thing differs. There the long-term latency is an average of all calls, so that overload
teaches it that queueing is normal, and the limit creeps up. Here it learns only from calls that found the callee almost
idle (at most a quarter of the limit inside), and after `probe_interval` without such calls the limit dips until there
are some, as TCP BBR drains its pipe to see the round trip (Cardwell et al., "BBR", ACM Queue 14(5), 2016).

Refuses to queue: what is over the limit is shed at once. Next: gradient.py is the arithmetic; bulkhead.py the fixed
number with a queue.
"""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.resilience.entries import entered, left
from cortex_core.resilience.gradient import Batch, Gradient, GradientRules
from cortex_core.resilience.hooks import Admission, AdmissionDetails, LimitDetails, OnAdmission, OnLimit, tell
from cortex_core.resilience.policy import Policy, settled
from cortex_core.resilience.predicates import judged
from cortex_core.resilience.refusal import Refusal

P = ParamSpec("P")
T = TypeVar("T")

_DROPS: Final = frozenset({Kind.TIMEOUT, Kind.UNAVAILABLE, Kind.RATE_LIMITED})


class OverLimit(Refusal):
    """As many calls are inside as the callee answers without queueing. Shed at once: the work never began."""

    code = "limit.exceeded"


def is_drop(error: BaseException) -> bool:
    """Whether `error` is the callee's way to say that it has too much: time-outs, unavailable, rate limited."""
    if isinstance(error, CortexError):
        return error.attempted and error.kind in _DROPS
    return isinstance(error, TimeoutError)


@dataclass(frozen=True, slots=True)
class Place:
    """One call inside: when it began, by the limit's clock, and the batch it counts in if it found the callee idle."""

    began: float
    batch: Batch | None


class AdaptiveLimit(Policy):
    """As many calls at a time as the callee bears: from `minimum` to `maximum` (both ≥ 1), beginning with `initial`.

    `tolerance` (≥ 1) is how much longer than on an idle callee a call may take before the limit falls; `smoothing`
    (0 … 1] how far it goes towards its goal at the end of each `window` of calls; `backoff` (0 … 1) its factor when a
    call is dropped (`drops_on` says which errors those are), at most once a round. `probe_interval` in seconds. A call
    that fails otherwise, or is cancelled, moves nothing. `async with limit:` and `with limit:` hold a place for a
    block; `acquire` and `release` are for calls that are neither. Raises ValueError for arguments out of their bounds.
    """

    def __init__(
        self,
        initial: int = 20,
        minimum: int = 1,
        maximum: int = 1000,
        *,
        smoothing: float = 0.2,
        tolerance: float = 1.5,
        backoff: float = 0.9,
        window: int = 20,
        probe_interval: float = 10.0,
        drops_on: Callable[[BaseException], bool] = is_drop,
        name: str = "",
        clock: Clock | None = None,
        on_admission: OnAdmission | None = None,
        on_limit: OnLimit | None = None,
    ) -> None:
        rules = GradientRules(
            initial=initial,
            minimum=minimum,
            maximum=maximum,
            smoothing=smoothing,
            tolerance=tolerance,
            backoff=backoff,
            window=window,
            probe_interval=probe_interval,
        )
        self.name = name
        self._clock = clock or SystemClock()
        self._drops_on = drops_on
        self._on_admission = on_admission
        self._on_limit = on_limit
        self._lock = threading.RLock()  # reentrant: a collected coroutine gives its place back in whatever thread runs
        self._gradient = Gradient(rules, self._clock.monotonic())
        self._in_use = 0

    @property
    def limit(self) -> int:
        """The number of places that was found. For the time of a probe a quarter of them are given out."""
        return int(self._gradient.limit)

    @property
    def in_use(self) -> int:
        """Calls inside."""
        return self._in_use

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's own result or error. Raises OverLimit."""
        place = self.acquire()
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            self.release(place, error)
            raise
        self.release(place)
        return result

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a call that blocks its thread."""
        place = self.acquire()
        try:
            result = settled(call(*args, **kwargs))
        except BaseException as error:
            self.release(place, error)
            raise
        self.release(place)
        return result

    def acquire(self) -> Place:
        """A place, to be given to `release` when the call has ended, however it ended. Raises OverLimit."""
        with self._lock:
            now = self._clock.monotonic()
            admitted = self._in_use < self._gradient.places(now)
            if admitted:
                self._in_use += 1
            place = Place(now, self._gradient.began(self._in_use, now) if admitted else None)
        if self._on_admission is not None:
            outcome = Admission.ADMITTED if admitted else Admission.FULL
            tell(self._on_admission, AdmissionDetails(self.name, outcome, 0.0, self._in_use, 0))
        if not admitted:
            raise OverLimit(f"{self._in_use} calls inside", retry_after=self._gradient.short, limit=self.name)
        return place

    def release(self, place: Place, error: BaseException | None = None) -> None:
        """The call ended, with `error` or well: so its time, or its drop, moves the limit."""
        dropped = error is not None and judged(
            self._drops_on, error, otherwise=False, of=f"drops_on of limit {self.name}"
        )
        gradient = self._gradient
        with self._lock:
            now, old, inside = self._clock.monotonic(), int(gradient.limit), self._in_use
            self._in_use -= 1
            if error is None:
                gradient.succeeded(now - place.began, inside=inside, batch=place.batch, now=now)
            else:
                gradient.failed(place.batch)
            if dropped:
                gradient.dropped(place.began, now)
            new = int(gradient.limit)
        if new != old:
            tell(self._on_limit, LimitDetails(self.name, old, new, gradient.short, gradient.long))

    def __enter__(self) -> Self:
        entered(self, self.acquire())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            place: Place = left(self)
        except RuntimeError:  # which place it was is not known here; that it is free again is
            with self._lock:
                self._in_use -= 1
            raise
        self.release(place, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
