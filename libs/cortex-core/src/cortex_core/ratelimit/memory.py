"""Limits in this process's memory: for one process, for tests, and for what `on_outage="local"` promises.

Owns which keys are remembered. Their number is bounded, and the bound is not a way out: whoever is being limited is not
forgotten to make room for newcomers.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.ratelimit.hooks import LimiterHooks, RefusalDetails, Source, Unheard, tell
from cortex_core.ratelimit.limiter import Decision, Demand, Standing, checked, decided, decision_of
from cortex_core.ratelimit.policies import Policy, sliding
from cortex_core.ratelimit.windows import SECOND, State, state_of

_SEEN: Final = 8  # of the oldest keys, how many are looked at to make room for one more
_SWEPT: Final = 2  # expired ones dropped for each newcomer, so that memory goes back after a crowd

_Key = tuple[str, str]


class RateLimiter:
    """A `Limiter` of this process, independent of every other one. For one event loop.

    At most `max_keys` states. For a newcomer beyond them, an expired state goes first, then the one least used among
    the eight oldest. A state that has used more than half of its limit never goes; where all eight have, the newcomer
    shares one state with everybody else who finds no room, under the same policy. So a crowd of made-up keys bounds
    itself, and resets nobody who is limited; a client below half its limit may be forgotten and begin anew.
    """

    def __init__(
        self,
        *,
        max_keys: int = 100_000,
        clock: Clock | None = None,
        hooks: LimiterHooks | None = None,
        source: Source = "memory",
    ) -> None:
        """`max_keys` from 16; some 500 bytes each, a sliding window up to 12 KB. `source` is what refusals tell hooks.
        Raises ValueError."""
        if max_keys < 2 * _SEEN:
            raise ValueError(f"max_keys must be at least {2 * _SEEN}, not {max_keys}")
        self._max_keys = max_keys
        self._clock = clock or SystemClock()
        self._hooks = hooks or Unheard()
        self._source: Source = source
        self._states: OrderedDict[_Key, tuple[Policy, State]] = OrderedDict()
        self._crowd: dict[str, State] = {}

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._states)

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision:
        return self.decide(*demands, cost=cost)

    def decide(self, *demands: Demand, cost: int = 1) -> Decision:
        """`acquire` for code without an event loop; it never waits."""
        if len(demands) == 1:  # the hot path: one key, and it is known
            policy, key = demands[0]
            found = self._states.get((policy.id, key))
            if found is not None and 0 < cost <= found[0].limit:
                return self._one(policy, found[1], cost)
        return self._all(checked(demands, cost), cost)

    spend = decide
    """As `LeasedLimiter.spend`: here everything is in hand."""

    async def check_limit(self, key: str, limit: int, window: float) -> Decision:
        return self.decide((sliding(limit, window), key))

    async def aclose(self) -> None:
        """Nothing is open."""

    def _one(self, policy: Policy, state: State, cost: int) -> Decision:
        now = round(self._clock.monotonic() * SECOND)
        wait = state.wait(now, cost)
        if wait:
            return self._refusal(decision_of([_standing(policy, state, now, wait)]))
        state.charge(now, cost)
        left = state.resets_at - now  # just charged, so it is not over
        return decided((True, policy, policy.limit, state.remaining(now), left / SECOND, 0.0))

    def _all(self, demands: Sequence[Demand], cost: int) -> Decision:
        now = round(self._clock.monotonic() * SECOND)
        ours: set[_Key] = set()
        held = [(policy, self._state(policy, key, now, ours)) for policy, key in demands]
        waits = [state.wait(now, cost) for _, state in held]
        admitted = not any(waits)
        if admitted:
            for _, state in held:
                state.charge(now, cost)
        decision = decision_of(
            _standing(policy, state, now, wait) for (policy, state), wait in zip(held, waits, strict=True)
        )
        return decision if admitted else self._refusal(decision)

    def _refusal(self, decision: Decision) -> Decision:
        tell(self._hooks.on_refusal, RefusalDetails(decision.policy.name, self._source, decision.retry_after))
        return decision

    def _state(self, policy: Policy, key: str, now: int, ours: set[_Key]) -> State:
        """The state of a demand. What is `ours`, this call's, makes room for nobody: it is about to be charged."""
        found = self._states.get((policy.id, key))
        if found is None:
            self._sweep(now, ours)
            if len(self._states) >= self._max_keys and not self._make_room(now, ours):
                return self._crowd.setdefault(policy.id, state_of(policy))
            found = self._states[policy.id, key] = policy, state_of(policy)
        ours.add((policy.id, key))
        return found[1]

    def _sweep(self, now: int, ours: set[_Key]) -> None:
        for key in self._oldest(_SWEPT, ours):
            if self._states[key][1].resets_at <= now:
                del self._states[key]
            else:
                self._states.move_to_end(key)

    def _make_room(self, now: int, ours: set[_Key]) -> bool:
        """Whether a state could be dropped. Those that are being limited go to the end of the queue instead."""
        least_used, victim = 0.5, None
        for key in self._oldest(_SEEN, ours):
            policy, state = self._states[key]
            used = 1 - state.remaining(now) / policy.limit
            if used <= least_used:
                least_used, victim = used, key
            else:
                self._states.move_to_end(key)
        if victim is None:
            return False
        del self._states[victim]
        return True

    def _oldest(self, count: int, ours: set[_Key]) -> list[_Key]:
        return [key for key in islice(self._states, count) if key not in ours]


def _standing(policy: Policy, state: State, now: int, wait: int) -> Standing:
    return policy, state.remaining(now), max(0, state.resets_at - now) / SECOND, wait / SECOND
