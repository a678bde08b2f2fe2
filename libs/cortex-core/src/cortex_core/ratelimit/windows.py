"""The three algorithms over one key's state in memory. Time is whole nanoseconds, so that sums are exact.

Each state answers how long a request would wait and is charged only when the whole call is admitted. Refuses to know
keys, clocks and other states. The same rules in Lua: `redis/scripts.py`.
"""

from collections import deque
from typing import Final, Protocol

from cortex_core.ratelimit.policies import EXACT, GRAINS, FixedWindow, Policy, SlidingWindow, TokenBucket

SECOND: Final = 1_000_000_000


class State(Protocol):
    """One key under one policy. `resets_at`: when it is as good as new."""

    resets_at: int

    def wait(self, now: int, cost: int) -> int:
        """Nanoseconds until `cost` fits; 0 where it fits now. `cost` ≤ the policy's limit."""
        ...

    def charge(self, now: int, cost: int) -> None:
        """Right after a `wait` of 0 at the same `now`."""
        ...

    def remaining(self, now: int) -> int: ...


class FixedWindowState:
    """A count, and the end of the window it belongs to."""

    __slots__ = ("_count", "_limit", "_window", "resets_at")

    def __init__(self, policy: FixedWindow) -> None:
        self._limit = policy.limit
        self._window = _nanoseconds(policy.window)
        self._count = 0
        self.resets_at = 0

    def wait(self, now: int, cost: int) -> int:
        if now >= self.resets_at:
            self._count = 0
        return 0 if self._count + cost <= self._limit else self.resets_at - now

    def charge(self, now: int, cost: int) -> None:
        self._count += cost
        self.resets_at = (now // self._window + 1) * self._window

    def remaining(self, now: int) -> int:
        return self._limit - (self._count if now < self.resets_at else 0)


class SlidingWindowState:
    """What was admitted, with the moment at which it leaves the window: `[leaves, count]`, the oldest first."""

    __slots__ = ("_entries", "_grain", "_limit", "_used", "_window", "resets_at")

    def __init__(self, policy: SlidingWindow) -> None:
        self._limit = policy.limit
        self._window = _nanoseconds(policy.window)
        self._grain = 1 if policy.limit <= EXACT else max(1, self._window // GRAINS)
        self._entries: deque[list[int]] = deque()
        self._used = 0
        self.resets_at = 0

    def wait(self, now: int, cost: int) -> int:
        if self._entries and self._entries[0][0] <= now:
            self._forget(now)
        over, leaves = self._used + cost - self._limit, now
        if over <= 0:
            return 0
        for leaves_at, count in self._entries:
            if over <= 0:
                break
            over, leaves = over - count, leaves_at
        return leaves - now

    def charge(self, now: int, cost: int) -> None:
        leaves = -(-now // self._grain) * self._grain + self._window  # rounded up: counted too long, never too short
        if self._entries and self._entries[-1][0] == leaves:
            self._entries[-1][1] += cost
        else:
            self._entries.append([leaves, cost])
        self._used += cost
        self.resets_at = leaves

    def remaining(self, now: int) -> int:
        if self._entries and self._entries[0][0] <= now:
            self._forget(now)
        return self._limit - self._used

    def _forget(self, now: int) -> None:
        while self._entries and self._entries[0][0] <= now:
            self._used -= self._entries.popleft()[1]


class TokenBucketState:
    """The theoretical arrival time: when the bucket will be full again. It is `resets_at`."""

    __slots__ = ("_full", "_interval", "resets_at")

    def __init__(self, policy: TokenBucket) -> None:
        self._interval = max(1, _nanoseconds(policy.interval))
        self._full = policy.burst * self._interval
        self.resets_at = 0

    def wait(self, now: int, cost: int) -> int:
        return max(0, self.resets_at - now + cost * self._interval - self._full)

    def charge(self, now: int, cost: int) -> None:
        begin = max(now, self.resets_at)
        self.resets_at = begin + cost * self._interval

    def remaining(self, now: int) -> int:
        return (self._full - max(0, self.resets_at - now)) // self._interval


def state_of(policy: Policy) -> State:
    if isinstance(policy, FixedWindow):
        return FixedWindowState(policy)
    if isinstance(policy, SlidingWindow):
        return SlidingWindowState(policy)
    return TokenBucketState(policy)


def _nanoseconds(seconds: float) -> int:
    return max(1, -(-round(seconds * 1e12) // 1000))
