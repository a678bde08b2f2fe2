"""One rate limiter under many callers or one: how often it answers, and how much it let through.

Arguments: limiter, Redis' URL (or -), tasks, keys, limit, window in seconds, seconds of the turn. Prints JSON.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import uvloop

Acquire = Callable[[str], Awaitable[bool]]
Close = Callable[[], Awaitable[None]]

_ZIPF: Final = 1.1
_DRAWN: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks: `tasks` at a time, for one of `keys` keys, a few of them often and most seldom."""

    tasks: int
    keys: int
    limit: int
    window: int
    seconds: float

    @property
    def flood(self) -> bool:
        """Whether callers ask for far more than they get, so that it matters how much that is."""
        return self.limit <= 10_000 and self.keys == 1

    def drawn(self) -> list[str]:
        """The keys in the order in which they are asked for, the same for every limiter."""
        if self.keys == 1:
            return ["client-0"]
        weights = [1 / (rank + 1) ** _ZIPF for rank in range(self.keys)]
        ranks = random.Random(7).choices(range(self.keys), weights, k=_DRAWN)
        return [f"client-{rank}" for rank in ranks]


async def no_close() -> None:
    """The process ends."""


async def limits_redis(url: str, load: Load) -> tuple[Acquire, Close]:
    from limits.aio.storage import RedisStorage

    return _limits(RedisStorage(f"async+{url}", implementation="redispy"), load)


async def limits_memory(_url: str, load: Load) -> tuple[Acquire, Close]:
    from limits.aio.storage import MemoryStorage

    return _limits(MemoryStorage(), load)


def _limits(storage: Any, load: Load) -> tuple[Acquire, Close]:
    from limits import RateLimitItemPerSecond
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerSecond(load.limit, load.window)

    async def acquire(key: str) -> bool:
        return bool(await limiter.hit(item, key))

    return acquire, no_close


async def throttled_redis(url: str, load: Load) -> tuple[Acquire, Close]:
    from throttled.asyncio import RedisStore

    return _throttled(RedisStore(server=url), load)


async def throttled_memory(_url: str, load: Load) -> tuple[Acquire, Close]:
    from throttled.asyncio import MemoryStore

    return _throttled(MemoryStore(options={"MAX_SIZE": 2 * load.keys + 1024}), load)


def _throttled(store: Any, load: Load) -> tuple[Acquire, Close]:
    from datetime import timedelta

    from throttled.asyncio import RateLimiterType, Throttled, rate_limiter

    quota = rate_limiter.per_duration(timedelta(seconds=load.window), load.limit, burst=load.limit)
    throttle = Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=store)

    async def acquire(key: str) -> bool:
        return not (await throttle.limit(key)).limited

    return acquire, no_close


async def ours_memory(_url: str, load: Load) -> tuple[Acquire, Close]:
    from cortex_core.ratelimit import RateLimiter, SlidingWindow

    return _ours(RateLimiter(), SlidingWindow(load.limit, load.window))


async def ours_exact(url: str, load: Load) -> tuple[Acquire, Close]:
    from cortex_core.ratelimit import SlidingWindow
    from cortex_core.ratelimit.redis import DistributedRateLimiter

    return _ours(DistributedRateLimiter(url, timeout=5.0), SlidingWindow(load.limit, load.window))


async def ours_bucket(url: str, load: Load) -> tuple[Acquire, Close]:
    from cortex_core.ratelimit import TokenBucket
    from cortex_core.ratelimit.redis import DistributedRateLimiter

    return _ours(DistributedRateLimiter(url, timeout=5.0), TokenBucket(load.limit, load.limit, per=load.window))


async def ours_leased(url: str, load: Load) -> tuple[Acquire, Close]:
    from cortex_core.ratelimit import LeasedLimiter, SlidingWindow
    from cortex_core.ratelimit.redis import DistributedRateLimiter

    return _ours(
        LeasedLimiter(DistributedRateLimiter(url, timeout=5.0), size=1_000), SlidingWindow(load.limit, load.window)
    )


def _ours(limiter: Any, policy: Any) -> tuple[Acquire, Close]:
    async def acquire(key: str) -> bool:
        return bool((await limiter.acquire((policy, key))).allowed)

    return acquire, limiter.aclose


LIMITERS: Final[dict[str, Callable[[str, Load], Awaitable[tuple[Acquire, Close]]]]] = {
    "ours-exact": ours_exact,
    "ours-bucket": ours_bucket,
    "ours-leased": ours_leased,
    "limits": limits_redis,
    "throttled": throttled_redis,
    "limits-memory": limits_memory,
    "throttled-memory": throttled_memory,
    "ours-memory": ours_memory,
}


async def measured(name: str, url: str, load: Load) -> dict[str, float]:
    """Calls a second, and the most that was certainly admitted within one window of the load's length."""
    acquire, close = await LIMITERS[name](url, load)
    keys = load.drawn()
    await asyncio.gather(*(acquire(f"warm-up-{number}") for number in range(load.tasks)))
    asked, answered = array("d"), array("d")
    counts = [0] * load.tasks
    began = time.perf_counter()
    over = began + load.seconds

    async def ask(task: int) -> None:
        first = task * len(keys) // load.tasks
        wanted = itertools.cycle(keys[first:] + keys[:first])
        calls, before = 0, time.perf_counter()
        while before < over:
            admitted = await acquire(next(wanted))
            after = time.perf_counter()
            if not admitted:
                await asyncio.sleep(0)  # as a server does: it answers 429, and its loop turns
            elif load.flood:
                asked.append(before)
                answered.append(after)
            calls, before = calls + 1, after
        counts[task] = calls

    await asyncio.gather(*(ask(task) for task in range(load.tasks)))
    elapsed = time.perf_counter() - began
    await close()
    return {"rate": sum(counts) / elapsed, "admitted": len(asked), "peak": peak(asked, answered, load.window)}


def peak(asked: Iterable[float], answered: Iterable[float], window: float) -> int:
    """The most calls that began and ended within one span of `window` seconds: nobody can say they were of two."""
    starts, ends = sorted(asked), sorted(answered)
    return max((bisect_left(ends, start + window) - number for number, start in enumerate(starts)), default=0)


def main() -> None:
    name, url, tasks, keys, limit, window, seconds = sys.argv[1:]
    load = Load(int(tasks), int(keys), int(limit), int(window), float(seconds))
    sys.stdout.write(json.dumps(uvloop.run(measured(name, url, load))))


if __name__ == "__main__":
    main()
