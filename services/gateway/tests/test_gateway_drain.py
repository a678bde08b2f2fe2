"""Once its end has begun the gateway answers as before, and says that the connection ends: in both lanes."""

import asyncio

import aiohttp

from cortex_core.chassis import CortexHttpServer, protocol_class
from cortex_core.events import MemoryEventBus
from cortex_core.testing import eventually, free_port
from cortex_gateway.dataplane.protocol import ExpressProtocol
from cortex_gateway.settings import Settings
from cortex_gateway.wiring import build


async def test_a_draining_gateway_ends_the_connections_of_its_express_lane(order: str) -> None:
    async with aiohttp.ClientSession() as client:
        addresses = {f"{name}_url": f"http://127.0.0.1:{free_port()}" for name in ("analytics", "storage", "compute")}
        told = {**addresses, "order_url": order, "rate_limit_store": "memory"}
        app = build(Settings(env="test", **told), bus=MemoryEventBus())
        platform = app.state.platform
        server = CortexHttpServer(
            app,
            drain=platform.drain,
            drain_delay=3600.0,
            signals=False,
            protocol=protocol_class(ExpressProtocol, application=app),
        )
        listening = asyncio.create_task(server.listen())
        await eventually(lambda: server.started)
        url = f"http://127.0.0.1:{server.port}/api/orders"

        async with client.post(url, data=b"{}") as before:
            assert (before.status, before.headers.get("Connection")) == (200, None)
        assert platform.metrics.value("cortex_gateway_lane_total", lane="express") == 1.0
        server.terminate()
        await eventually(lambda: platform.drain.begun)
        async with client.post(url, data=b"{}") as after:
            assert (after.status, after.headers["Connection"]) == (200, "close")

        server.close()
        await listening
