"""A process that asks a shared limiter, with a wall clock of its own: `asker.py URL ours|naive LIMIT WINDOW SKEW`.

Reads orders from its standard input: `burst N` asks N times at once, `steady SECONDS` goes on asking. Answers each with
a line of JSON: for every admitted call when it was sent and answered, by the machine's monotonic clock, which all
processes share and which no skew touches.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable

import redis.asyncio

from cortex_core.ratelimit import SlidingWindow
from cortex_core.ratelimit.redis import DistributedRateLimiter

URL, KIND, LIMIT, WINDOW, SKEW = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])

Ask = Callable[[], Awaitable[bool]]

true_monotonic, true_time = time.monotonic, time.time
time.time = lambda: true_time() + SKEW


def ours() -> tuple[Ask, Callable[[], Awaitable[None]]]:
    limiter = DistributedRateLimiter(URL, timeout=10)
    policy = SlidingWindow(LIMIT, WINDOW)

    async def ask() -> bool:
        return (await limiter.acquire((policy, "client"))).allowed

    return ask, limiter.aclose


def naive() -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The plan's own: every call is recorded before it is counted, step by step, by the clock of who asks."""
    client = redis.asyncio.Redis(
        connection_pool=redis.asyncio.BlockingConnectionPool.from_url(URL, max_connections=20, timeout=None)
    )

    async def ask() -> bool:
        now = time.time() * 1000
        await client.zremrangebyscore("naive", 0, now - WINDOW * 1000)
        await client.zadd("naive", {f"{now}-{uuid.uuid4()}": now})
        count = await client.zcard("naive")
        await client.expire("naive", 120)
        return bool(count <= LIMIT)

    return ask, client.connection_pool.disconnect


async def obey(order: str, amount: float) -> list[tuple[float, float]]:
    ask, close = ours() if KIND == "ours" else naive()
    admitted = []

    async def once() -> bool:
        sent = true_monotonic()
        allowed = await ask()
        if allowed:
            admitted.append((sent, true_monotonic()))
        return allowed

    async def on_and_on(end: float) -> None:
        while true_monotonic() < end:
            if not await once():
                await asyncio.sleep(0.005)

    if order == "burst":
        await asyncio.gather(*(once() for _ in range(int(amount))))
    else:
        end = true_monotonic() + amount
        await asyncio.gather(*(on_and_on(end) for _ in range(4)))
    await close()
    return admitted


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


tell("ready")
for line in sys.stdin:
    word, figure = line.split()
    tell(json.dumps(asyncio.run(obey(word, float(figure)))))
