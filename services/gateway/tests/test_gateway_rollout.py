"""Replicas of the gateway are replaced under load, each a real process that gets SIGTERM: no request fails."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from cortex_core.testing import eventually, free_port


class Replica:
    def __init__(self, order: str, redis_url: str, delay: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cortex_gateway.main"],
            env={
                **kept,
                "CORTEX_ENV": "test",
                "CORTEX_REDIS_URL": redis_url,
                "GATEWAY_ORDER_URL": order,
                "GATEWAY_PORT": str(self.port),
                "GATEWAY_RATE_LIMIT_PER_MINUTE": "1000000000",
                "GATEWAY_DRAIN_DELAY": str(delay),
                "CORTEX_LOG_LEVEL": "warning",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 30)


class Clients:
    """They know which replicas are ready, by asking every 20 ms, and try nothing twice."""

    def __init__(self, session: aiohttp.ClientSession, replicas: list[Replica]) -> None:
        self.session = session
        self.replicas = replicas
        self.ready: list[Replica] = []
        self.failures: list[str] = []
        self.answered = 0

    async def watch(self) -> None:
        while True:
            asked = [(replica, await self._status(f"{replica.url}/health/ready")) for replica in list(self.replicas)]
            self.ready = [replica for replica, status in asked if status == 200]
            await asyncio.sleep(0.02)

    async def _status(self, url: str) -> int:
        try:
            async with self.session.get(url) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def load(self) -> None:
        while True:
            if not self.ready:
                await asyncio.sleep(0)
                continue
            replica = self.ready[self.answered % len(self.ready)]
            try:
                async with self.session.post(f"{replica.url}/api/orders", data=b"{}") as answer:
                    body = await answer.read()
                if (answer.status, body) != (200, b"{}"):
                    self.failures.append(f"{answer.status} {body[:200]!r}")
            except aiohttp.ClientError as error:
                self.failures.append(repr(error))
            self.answered += 1


@asynccontextmanager
async def clients(replicas: list[Replica]) -> AsyncIterator[Clients]:
    async with aiohttp.ClientSession() as session:
        several = Clients(session, replicas)
        work = [asyncio.create_task(several.watch()), *(asyncio.create_task(several.load()) for _ in range(8))]
        try:
            yield several
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


async def replaced(order: str, redis_url: str, times: int, delay: float) -> Clients:
    """`times` times a second replica starts and, once it is ready, the first gets SIGTERM in the middle of its work."""
    replicas = [Replica(order, redis_url, delay)]
    try:
        async with clients(replicas) as several:
            for _ in range(times):
                replicas.append(Replica(order, redis_url, delay))
                await eventually(lambda: len(several.ready) == 2, within=60.0)
                answered = several.answered
                await eventually(lambda: several.answered > answered + 16, within=60.0)  # noqa: B023 - awaited here
                replicas[0].process.send_signal(signal.SIGTERM)
                assert await replicas[0].ended() == 0
                del replicas[0]
                await eventually(lambda: len(several.ready) == 1, within=60.0)
    finally:
        for replica in replicas:
            replica.process.kill()
            await replica.ended()
    return several


@pytest.mark.bound
@pytest.mark.timeout(300)
async def test_no_request_fails_while_replicas_are_replaced(order: str, redis_url: str) -> None:
    times = 20 if "CORTEX_BOUNDS" in os.environ else 2

    several = await replaced(order, redis_url, times, delay=3.0)

    assert several.failures == []
    assert several.answered > 32 * times


@pytest.mark.bound
async def test_control_without_a_delay_some_do(order: str, redis_url: str) -> None:
    for _ in range(5):
        several = await replaced(order, redis_url, 1, delay=0.0)
        if several.failures:
            return
    raise AssertionError("no request met a gateway that had just stopped listening")
