"""The circuit breaker: calls that would fail are not made (Nygard, *Release It!*, 2007, "Circuit Breaker").

Owns one circuit, and promises that exactly as many probes as were agreed reach a backend that may have recovered, from
however many tasks and threads; `rules.py` has its rules (test_breaker_machine.py checks them against a model). No timer
runs: that time has passed is noticed by the next call. Refuses to know what it protects, and who else does:
`resilience/redis.py` tells it what other replicas have seen.
"""

import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.resilience.breaker.errors import CircuitOpenError
from cortex_core.resilience.breaker.failures import is_failure as counts_as_failure
from cortex_core.resilience.breaker.permit import Permit
from cortex_core.resilience.breaker.phases import CircuitStatus, Phase
from cortex_core.resilience.breaker.rules import Circuit
from cortex_core.resilience.breaker.settings import CircuitSettings
from cortex_core.resilience.breaker.windows import Window
from cortex_core.resilience.entries import entered, left
from cortex_core.resilience.hooks import (
    CallOutcome,
    CircuitCall,
    CircuitChange,
    CircuitRejection,
    CircuitState,
    OnCircuitCall,
    OnCircuitChange,
    OnCircuitRejection,
    tell,
)
from cortex_core.resilience.idempotency import never_began
from cortex_core.resilience.policy import Policy, settled
from cortex_core.resilience.predicates import judged
from cortex_core.resilience.refusal import Refusal

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_THRESHOLD = 5


class CircuitBreaker(Policy):
    """Refuses calls for `reset_timeout` seconds once too many have failed; then lets `probes` of them try.

    It opens after `failure_threshold` failures in a row (default 5; with a `window`, only if given), or when the
    `window` (a `CountWindow` or `TimeWindow`) says so. Half-open, exactly `probes` calls pass: `probes_to_close`
    (default: all) must succeed to close it; as soon as that cannot be any more, or after `half_open_timeout` seconds,
    it is open again. Each time in a row the wait doubles, up to `max_reset_timeout` (default: it does not), and is
    shortened by a random share of up to `jitter`.

    What counts as a failure is for `is_failure` to say: True, or False for an answer, which counts as success, or None
    for what says nothing of the callee (our side broke off). That, a cancellation, and a `Refusal` by a block within
    count neither way, and a probe that ends so gives its place back; but one that began and took longer than the
    window's `slow_after` was slow, whatever ended it. A result counts only in the phase in which its call began.

    Use it as a decorator, by `execute`, or as a context (`async with`, `with`): there an error that leaves the block is
    the failure; or by `permit`. Raises CircuitOpenError for what it refuses, ValueError for bad settings.
    """

    def __init__(
        self,
        failure_threshold: int | None = None,
        reset_timeout: float = 30.0,
        *,
        name: str = "default",
        window: Window | None = None,
        probes: int = 1,
        probes_to_close: int | None = None,
        half_open_timeout: float = 60.0,
        max_reset_timeout: float | None = None,
        jitter: float = 0.0,
        is_failure: Callable[[Exception], bool | None] = counts_as_failure,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_change: OnCircuitChange | None = None,
        on_rejection: OnCircuitRejection | None = None,
        on_call: OnCircuitCall | None = None,
    ) -> None:
        if failure_threshold is None and window is None:
            failure_threshold = DEFAULT_THRESHOLD
        settings = CircuitSettings(
            failure_threshold=failure_threshold,
            window=window,
            reset_timeout=reset_timeout,
            max_reset_timeout=reset_timeout if max_reset_timeout is None else max_reset_timeout,
            jitter=jitter,
            probes=probes,
            probes_to_close=probes if probes_to_close is None else probes_to_close,
            half_open_timeout=half_open_timeout,
        )
        rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._circuit = Circuit(name, settings, rng, measured=window is not None or on_call is not None)
        self._slow_after = None if window is None else window.slow_after
        self._timed = self._slow_after is not None or on_call is not None
        self._is_failure = is_failure
        self._clock = clock or SystemClock()
        self._on_rejection = on_rejection
        self._on_call = on_call
        self._watchers: tuple[OnCircuitChange, ...] = () if on_change is None else (on_change,)
        self._lock = threading.Lock()
        self._telling = threading.Lock()

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        phase = self._circuit.phase
        if not phase.plain:
            phase = self._admitted()
        began = self._clock.monotonic() if self._timed else 0.0
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            self._ended(phase, began, error)
            raise
        if self._circuit.failures or not phase.plain:
            self._ended(phase, began)
        return result

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        phase = self._circuit.phase
        if not phase.plain:
            phase = self._admitted()
        began = self._clock.monotonic() if self._timed else 0.0
        try:
            result = settled(call(*args, **kwargs))
        except BaseException as error:
            self._ended(phase, began, error)
            raise
        if self._circuit.failures or not phase.plain:
            self._ended(phase, began)
        return result

    def permit(self) -> Permit:
        """For who cannot await: the call may begin, and whoever makes it says how it ended. Raises CircuitOpenError."""
        phase = now if (now := self._circuit.phase).state is CircuitState.CLOSED else self._admitted()
        return Permit(self._ended, phase, self._clock.monotonic() if self._timed else 0.0)

    def __enter__(self) -> Self:
        phase = self._admitted()
        entered(self, (phase, self._clock.monotonic()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            phase, began = left(self)
        except RuntimeError:  # it is not known when it began: if it was a probe, nobody is to wait for its result
            with self._lock:
                self._circuit.lost()
            raise
        self._ended(phase, began, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    @property
    def name(self) -> str:
        return self._circuit.name

    @property
    def state(self) -> CircuitState:
        """As the last call left it: a circuit whose time is over stays open until somebody calls."""
        return self._circuit.phase.state

    @property
    def opened_until(self) -> float | None:
        """When probes will be let through, as a reading of the clock; infinite while held open; None while not open."""
        phase = self._circuit.phase
        return phase.until if phase.state is CircuitState.OPEN else None

    @property
    def status(self) -> CircuitStatus:
        with self._lock:
            return self._circuit.status(self._clock.monotonic())

    @property
    def open_by_evidence(self) -> float:
        """The seconds for which it will be open by what it saw itself; 0 where it is not, or on another's word."""
        phase = self._circuit.phase
        if phase.state is not CircuitState.OPEN or not phase.cause.is_evidence:
            return 0.0
        return max(0.0, phase.until - self._clock.monotonic())

    def watch(self, on_change: OnCircuitChange) -> Callable[[], None]:
        """Tells `on_change` of every change from now on, until what is returned is called."""
        with self._lock:
            self._watchers = (*self._watchers, on_change)

        def unwatch() -> None:
            with self._lock:
                self._watchers = tuple(watcher for watcher in self._watchers if watcher is not on_change)

        return unwatch

    def force_open(self) -> None:
        """Refuses everything until `reset` or `force_close`."""
        self._force(CircuitState.OPEN)

    def force_close(self) -> None:
        """Lets everything pass and counts nothing until `reset` or `force_open`."""
        self._force(CircuitState.CLOSED)

    def reset(self) -> None:
        """As new: closed, nothing counted, not held. A shared one follows its quorum again at its next vote."""
        with self._lock:
            self._circuit.reset(self._clock.monotonic())
        self._tell_changes()

    def open_for(self, seconds: float) -> bool:
        """Opens a closed circuit for `seconds` on somebody else's word; what it saw itself, or what a hand holds, goes
        before. True if it did. Raises ValueError unless `seconds` is above 0."""
        if not seconds > 0:
            raise ValueError(f"seconds is above 0: {seconds}")
        with self._lock:
            opened = self._circuit.open_for(seconds, self._clock.monotonic())
        self._tell_changes()
        return opened

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state})"

    def _force(self, state: CircuitState) -> None:
        with self._lock:
            self._circuit.hold(state, self._clock.monotonic())
        self._tell_changes()

    def _admitted(self) -> Phase:
        """The phase in which a call may begin. Raises CircuitOpenError."""
        if (phase := self._circuit.phase).state is CircuitState.CLOSED:
            return phase  # without the lock: to be asked changes nothing here
        now = self._clock.monotonic()
        with self._lock:
            admitted = self._circuit.admit(now)
            refused_by = self._circuit.phase
        self._tell_changes()
        if admitted is None:
            raise self._refusal(refused_by, now)
        return admitted

    def _refusal(self, phase: Phase, now: float) -> CircuitOpenError:
        if phase.held:
            why, retry_after = "held open by hand", None
        elif phase.state is CircuitState.HALF_OPEN:
            why, retry_after = "half-open, and its probes are under way", None
        else:
            retry_after = phase.until - now
            why = f"open for another {retry_after:.3f} s"
        tell(self._on_rejection, CircuitRejection(self.name, phase.state, retry_after))
        return CircuitOpenError(f"circuit {self.name} is {why}", retry_after=retry_after, circuit=self.name)

    def _ended(self, phase: Phase, began: float, error: BaseException | None = None) -> None:
        now = self._clock.monotonic()
        if error is None and not self._timed:  # nearly always
            with self._lock:
                self._circuit.succeeded(phase, now)
            return self._tell_changes() if self._circuit.changes else None
        outcome = self._outcome(error)
        slow = self._slow_after is not None and now - began > self._slow_after
        if outcome is CallOutcome.NEITHER and never_began(error):
            slow = False  # it waited for a place of ours, and not for what is called
        with self._lock:
            self._circuit.ended(phase, outcome, slow, now, error)
        self._tell_changes()
        if self._on_call is not None:
            tell(self._on_call, CircuitCall(self.name, outcome, now - began, slow, error))

    def _outcome(self, error: BaseException | None) -> CallOutcome:
        if error is None:
            return CallOutcome.SUCCESS
        if not isinstance(error, Exception) or isinstance(error, Refusal):
            return CallOutcome.NEITHER
        failed = judged(self._is_failure, error, otherwise=True, of=f"is_failure of circuit {self.name}")
        if failed is None:
            return CallOutcome.NEITHER
        return CallOutcome.FAILURE if failed else CallOutcome.SUCCESS

    def _tell_changes(self) -> None:
        """Outside the lock, so that a hook may use the breaker, and by one thread at a time, so that all hear of the
        changes in their order: who finds another at it leaves what is new to that one."""
        changes = self._circuit.changes
        while changes and self._telling.acquire(blocking=False):
            try:
                self._tell_each(changes)
            finally:
                self._telling.release()

    def _tell_each(self, changes: deque[CircuitChange]) -> None:
        while changes:
            change = changes.popleft()
            for watcher in self._watchers:
                tell(watcher, change)
