"""Analytics on a real Redis and a real database: replicas, restarts, an outage."""

from typing import Any

from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually


async def test_what_was_published_while_it_was_away_is_counted_once(
    serve: Any, redis_url: str, created: Any, completed: Any
) -> None:
    publisher = RedisEventBus(redis_url, consumer="test")
    first = created("ord_1")
    try:
        async with serve(bus=RedisEventBus(redis_url, consumer="before")) as analytics:
            await publisher.publish([first])
            await eventually(lambda: analytics.counted(created=1))

        await publisher.publish([first, created("ord_2"), completed("ord_1", 0.5)])

        async with serve(bus=RedisEventBus(redis_url, consumer="after")) as analytics:
            await eventually(lambda: analytics.counted(created=2, completed=1))
            figures = await analytics.figures()
            assert figures["activeOrders"] == 1
            assert figures["processingSeconds"]["count"] == 1
    finally:
        await publisher.aclose()


async def test_two_replicas_share_the_work_and_tell_the_same(
    serve: Any, redis_url: str, created: Any, completed: Any
) -> None:
    publisher = RedisEventBus(redis_url, consumer="test")
    try:
        async with (
            serve(bus=RedisEventBus(redis_url, consumer="one")) as one,
            serve(bus=RedisEventBus(redis_url, consumer="two")) as two,
        ):
            events = [event for n in range(100) for event in (created(f"ord_{n}"), completed(f"ord_{n}", 0.5))]
            await publisher.publish(events + events)

            await eventually(lambda: one.counted(created=100, completed=100), within=60)
            assert await one.figures() == await two.figures()
            assert (await one.figures())["activeOrders"] == 0
    finally:
        await publisher.aclose()


async def test_an_outage_of_redis_is_answered_through_and_caught_up(
    serve: Any, redis_server: RedisServer, redis_url: str, created: Any
) -> None:
    async with serve(bus=RedisEventBus(redis_url, consumer="one")) as analytics:
        await analytics.publish(created("ord_1"))
        await eventually(lambda: analytics.counted(created=1))

        redis_server.stop()
        try:
            assert not await ready(analytics)
            assert (await analytics.figures())["orders"]["created"] == 1
        finally:
            redis_server.start()

        await eventually(lambda: ready(analytics), within=20)
        await analytics.publish(created("ord_2"))
        await eventually(lambda: analytics.counted(created=2), within=20)


async def ready(analytics: Any) -> bool:
    return bool((await analytics.http.get("/health/ready")).status == 200)
