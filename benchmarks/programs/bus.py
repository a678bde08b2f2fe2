"""The event bus or a naive client in its place: how many events a second it publishes, or delivers to a handler.

Arguments: side, Redis' URL, tasks and events a call (of a publish run), events that lie in the stream before it begins
(of a deliver run; 0: publish), seconds of the turn. Prints JSON. Both sides make the JSON of what they publish, and
read that of what they deliver.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import cycle, islice
from typing import Any, Final

import uvloop

from cortex_core.events import CloudEvent, ConsumerPolicy
from cortex_core.events.redis import RedisEventBus

Publish = Callable[[list[CloudEvent]], Awaitable[None]]

_STREAM: Final = "cortex:public:events:order"
_GROUP: Final = "bench"
_LENGTH: Final = 1_000_000
_AT_ONCE: Final = 64


def event(number: int) -> CloudEvent:
    """An order's, of some 490 bytes."""
    data = {
        "orderId": f"ord_{number:032x}",
        "customerId": "cus_0190a1b2c3d4",
        "total": 2_500,
        "currency": "EUR",
        "items": [{"sku": "lamp-red", "quantity": 2, "price": 1_250}],
    }
    return CloudEvent(
        "order.created",
        "/order",
        f"ord_{number:032x}",
        data,
        version=1,
        dataschema="https://cortex.example/schemas/order.created/1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


EVENTS: Final = [event(number) for number in range(1_024)]


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Publish]:
    bus = RedisEventBus(url, timeout=10.0, retention=None)
    yield bus.publish
    await bus.aclose()


@asynccontextmanager
async def naive(url: str) -> AsyncIterator[Publish]:
    """An XADD, then a PUBLISH, each awaited: what a service writes by hand."""
    client = _client(url)

    async def publish(events: list[CloudEvent]) -> None:
        for each in events:
            raw = each.to_json()
            entry = await client.xadd(_STREAM, {"event": raw}, maxlen=_LENGTH, approximate=True)
            await client.publish(_STREAM, entry + b" " + raw)

    yield publish
    await client.aclose()


async def publishing(side: str, url: str, tasks: int, at_once: int, seconds: float) -> dict[str, float]:
    """Acknowledged events a second, from so many tasks, each so many events a call."""
    async with (ours if side.startswith("ours") else naive)(url) as publish:
        await publish(EVENTS[:1])
        counts = [0] * tasks
        began = time.perf_counter()
        over = began + seconds

        async def task(number: int) -> None:
            wanted = cycle(EVENTS)
            while time.perf_counter() < over:
                await publish(list(islice(wanted, at_once)))
                counts[number] += at_once

        await asyncio.gather(*map(task, range(tasks)))
        return {"rate": sum(counts) / (time.perf_counter() - began)}


async def delivering(side: str, url: str, events: int, seconds: float) -> dict[str, float]:
    """Events a second that a handler had and that were acknowledged, of those that lie there already."""
    client = _client(url)
    await _fill(client, events)
    await client.xgroup_create(_STREAM, _GROUP, "0")
    await client.aclose()
    deliver: Any = {"ours": _ours_delivers, "naive-1": _naive_delivers(1), "naive-64": _naive_delivers(_AT_ONCE)}[side]
    handled = 0
    finished = asyncio.Event()

    async def handle(_: CloudEvent) -> None:
        nonlocal handled
        handled += 1
        if handled == events:
            finished.set()

    began = time.perf_counter()
    async with deliver(url, handle):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await finished.wait()
        elapsed, total = time.perf_counter() - began, handled
    return {"rate": total / elapsed, "whole": float(total == events)}


@asynccontextmanager
async def _ours_delivers(url: str, handle: Callable[[CloudEvent], Awaitable[None]]) -> AsyncIterator[None]:
    bus = RedisEventBus(url, timeout=10.0, retention=None)
    await bus.consume(_GROUP, ["order"], handle, ConsumerPolicy())
    yield
    await bus.aclose()


def _naive_delivers(at_once: int) -> Any:
    """XREADGROUP, then for each message the handler and an XACK, each awaited."""

    @asynccontextmanager
    async def deliver(url: str, handle: Callable[[CloudEvent], Awaitable[None]]) -> AsyncIterator[None]:
        client = _client(url)

        over = asyncio.Event()

        async def loop() -> None:
            while not over.is_set():
                reply = await client.xreadgroup(_GROUP, "one", {_STREAM: ">"}, count=at_once, block=100)
                for _, entries in reply:
                    for entry, fields in entries:
                        await handle(CloudEvent.from_json(fields[b"event"]))
                        await client.xack(_STREAM, _GROUP, entry)

        task = asyncio.create_task(loop())
        yield
        over.set()
        await task
        await client.aclose()

    return deliver


def _client(url: str) -> Any:
    from redis.asyncio import Redis

    return Redis.from_url(url)  # hiredis, replies not decoded, a connection for each task that waits


async def _fill(client: Any, events: int) -> None:
    texts = cycle([each.to_json() for each in EVENTS])
    for first in range(0, events, 500):
        pipeline = client.pipeline(transaction=False)
        for raw in islice(texts, min(500, events - first)):
            pipeline.xadd(_STREAM, {"event": raw})
        await pipeline.execute()


def main() -> None:
    side, url, tasks, at_once, events, seconds = sys.argv[1:]
    run = (
        delivering(side, url, int(events), float(seconds))
        if int(events)
        else publishing(side, url, int(tasks), int(at_once), float(seconds))
    )
    sys.stdout.write(json.dumps(uvloop.run(run)))


if __name__ == "__main__":
    main()
