"""A pool in front of servers that do what the test says, with its figures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from cortex_core.chassis import Resilience
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.testing import free_port
from cortex_gateway.adapters import PoolReporter
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.routes import Service

from .carrier_server import OK, Script, serving_raw

UNWELL = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


def waiting(go_on: asyncio.Event) -> Script:
    """A service that answers when it is told to."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            writer.write(OK)

    return script


class Front:
    """A pool, its figures, and what reached which replica."""

    def __init__(self, pool: ConnectionPool, metrics: MetricsCollector) -> None:
        self.pool = pool
        self.order = pool.services[Service.ORDER]
        self.metrics = metrics

    def figure(self, name: str, **labels: str) -> float | None:
        return self.metrics.value(name, upstream="order", **labels)


@asynccontextmanager
async def in_front_of(*replicas: Script | str, connections: int = 10) -> AsyncIterator[Front]:
    metrics = MetricsCollector()
    reporter = PoolReporter(metrics, Logger.get("pool"))
    async with AsyncExitStack() as stack:
        addresses = [
            each if isinstance(each, str) else await stack.enter_async_context(serving_raw(each)) for each in replicas
        ]
        pool = ConnectionPool(
            {Service.ORDER: ",".join(addresses)},
            resilience=Resilience(metrics),
            connections=connections,
            hooks=reporter,
        )
        await stack.enter_async_context(pool.opened())
        reporter.show(pool.services, lambda: 0)
        yield Front(pool, metrics)


def counting(reply: bytes, seen: list[int], number: int) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            seen.append(number)
            writer.write(reply)

    return script


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"
