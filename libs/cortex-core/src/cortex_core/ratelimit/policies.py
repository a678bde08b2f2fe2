"""How much is allowed: three frozen policies. A policy says nothing about whom it is for; a key does that.

Two policies are the same where they compare equal, and their counts are shared by `id`: a changed limit starts anew.
"""

import math
import re
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

EXACT: Final = 128  # up to this limit a sliding window remembers every request, so at most so many entries
GRAINS: Final = 64  # above it, this many parts of a window; 1/64 is what it may admit too little

OnOutage = Literal["closed", "local"]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """At most `limit` in each window of `window` seconds, the windows laid end to end from the clock's zero.

    Cheapest, and coarse: up to 2 · `limit` pass within a moment that spans the edge of two windows. `name` is the one
    in the headers. `on_outage` is what holds while the shared counts cannot be reached: `closed` refuses, `local`
    counts in this process, against `share` of the limit (0 < share ≤ 1, and at least one request: 1/replicas keeps the
    sum). Raises ValueError that names the argument.
    """

    limit: int
    window: float
    name: str = "default"
    _: KW_ONLY
    on_outage: OnOutage = "closed"
    share: float = 1.0
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_limit("limit", self.limit)
        _check_positive("window", self.window)
        _check_manners(self)
        object.__setattr__(self, "id", f"{self.name}:fixed:{self.limit}:{float(self.window)!r}")

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Never more than `limit` in any span of `window` seconds, wherever it begins.

    Exact up to a limit of 128. Above it, time is cut into parts of a 64th of the window, and a request counts from the
    end of its part: never one too many, and a client that asks without a pause gets at least 98.4 % of its limit, for
    67 entries of memory whatever the limit is. `name`, `on_outage`, `share`: see `FixedWindow`.
    """

    limit: int
    window: float
    name: str = "default"
    _: KW_ONLY
    on_outage: OnOutage = "closed"
    share: float = 1.0
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_limit("limit", self.limit)
        _check_positive("window", self.window)
        _check_manners(self)
        object.__setattr__(self, "id", f"{self.name}:sliding:{self.limit}:{float(self.window)!r}")

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """At most `burst` at once and `rate` requests every `per` seconds in the long run: in any span of t seconds no more
    than `burst` + `rate` · t / `per`.

    Kept as the generic cell rate algorithm (ITU-T I.371, annex A): one moment a key, the theoretical arrival time.
    `limit` is the burst, `window` the seconds an empty bucket takes to fill. Others: see `FixedWindow`.
    """

    rate: float
    burst: int
    per: float = 1.0
    name: str = "default"
    _: KW_ONLY
    on_outage: OnOutage = "closed"
    share: float = 1.0
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_positive("rate", self.rate)
        _check_limit("burst", self.burst)
        _check_positive("per", self.per)
        if self.per / self.rate < 1e-6:
            raise ValueError(f"rate must be at most a million a second, not {self.rate} in {self.per} s")
        _check_manners(self)
        object.__setattr__(self, "id", f"{self.name}:bucket:{self.burst}:{self.interval!r}")

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def limit(self) -> int:
        return self.burst

    @property
    def interval(self) -> float:
        """Seconds in which one token comes."""
        return self.per / self.rate

    @property
    def window(self) -> float:
        return self.burst * self.interval


Policy = FixedWindow | SlidingWindow | TokenBucket


@lru_cache(maxsize=1024)
def local_share(policy: Policy) -> Policy:
    """What one process allows on its own while it cannot ask the others."""
    if isinstance(policy, TokenBucket):
        return replace(policy, rate=policy.rate * policy.share, burst=max(1, int(policy.burst * policy.share)))
    return replace(policy, limit=max(1, int(policy.limit * policy.share)))


@lru_cache(maxsize=1024)
def sliding(limit: int, window: float) -> SlidingWindow:
    """The policy of `check_limit`."""
    return SlidingWindow(limit, window)


def _check_limit(name: str, value: int) -> None:
    if type(value) is not int or not 1 <= value <= 10**9:
        raise ValueError(f"{name} must be a whole number from 1 to 10^9, not {value!r}")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value <= 366 * 86_400 or not math.isfinite(value):
        raise ValueError(f"{name} must be more than 0 and at most a year's seconds, not {value!r}")


def _check_manners(policy: Policy) -> None:
    if not _NAME.fullmatch(policy.name):
        raise ValueError(f"name must be 1 to 64 letters, digits, dots, dashes and underscores, not {policy.name!r}")
    if policy.on_outage not in {"closed", "local"}:
        raise ValueError(f"on_outage must be 'closed' or 'local', not {policy.on_outage!r}")
    if not 0 < policy.share <= 1:
        raise ValueError(f"share must be more than 0 and at most 1, not {policy.share!r}")
