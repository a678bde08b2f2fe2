"""Notification on a real Redis: every replica hears everything, and an outage costs no connection."""

from typing import Any

from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually


async def ready(service: Any) -> bool:
    return bool((await service.http.get("/health/ready")).status == 200)


async def test_every_replica_sends_to_its_own_clients(serve: Any, redis_url: str, completed: Any) -> None:
    async with (
        serve(bus=RedisEventBus(redis_url, consumer="one")) as one,
        serve(bus=RedisEventBus(redis_url, consumer="two")) as two,
        one.client() as here,
        two.client() as there,
    ):
        events = [completed(f"ord_{number}") for number in range(20)]
        await one.publish(*events)

        for client in (here, there):
            assert [(await client.frame())["id"] for _ in events] == [event.id for event in events]


async def test_a_client_hears_nothing_of_before_it_came(serve: Any, redis_url: str, completed: Any) -> None:
    async with serve(bus=RedisEventBus(redis_url, consumer="one")) as service:
        async with service.client() as early:
            await service.publish(completed("ord_before"))
            await early.frame()
        async with service.client() as late:
            await service.publish(completed("ord_after"))

            assert (await late.frame())["data"]["orderId"] == "ord_after"


async def test_an_outage_of_redis_costs_no_connection(
    serve: Any, redis_server: RedisServer, redis_url: str, completed: Any
) -> None:
    async with serve(bus=RedisEventBus(redis_url, consumer="one")) as service, service.client() as client:
        redis_server.stop()
        try:
            assert not await ready(service)
            await client.socket.send_json({"type": "ping"})
            assert (await client.frame())["type"] == "pong"
        finally:
            redis_server.start()

        await eventually(lambda: ready(service), within=20)
        await service.publish(completed("ord_after"))
        assert (await client.frame())["data"]["orderId"] == "ord_after"
