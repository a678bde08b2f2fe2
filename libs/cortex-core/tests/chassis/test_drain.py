"""SIGTERM: not ready at once, still answering for a while, then gone. 20 replicas are ended under load."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import aiohttp
import pytest
from fastapi import APIRouter

from cortex_core.chassis import Config, CortexHttpServer, create_app, service_config
from cortex_core.events import MemoryEventBus
from cortex_core.testing import eventually


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"


router = APIRouter()


@router.get("/tea")
async def tea(slow: float = 0.0) -> dict[str, str]:
    await asyncio.sleep(slow)
    return {"tea": "ready"}


@asynccontextmanager
async def nothing(_: Any) -> AsyncIterator[None]:
    yield None


class Replica:
    """One server of its own in this loop, ended as SIGTERM ends it."""

    def __init__(self, delay: float) -> None:
        app = create_app(Settings(env="test"), running=nothing, routers=[router], bus=MemoryEventBus())
        self.drain = app.state.platform.drain
        self.server = CortexHttpServer(app, drain=self.drain, drain_delay=delay, signals=False)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self._serving = asyncio.create_task(self.server.listen())

    async def ready(self) -> "Replica":
        await eventually(lambda: self.server.started)
        return self

    async def ended(self) -> None:
        await self._serving


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_before_it_is_neither_unready_nor_closing(http: aiohttp.ClientSession) -> None:
    replica = await Replica(delay=0.0).ready()

    async with http.get(f"{replica.url}/tea") as answer:
        assert (answer.status, answer.headers.get("Connection")) == (200, None)
    async with http.get(f"{replica.url}/health/ready") as answer:
        assert answer.status == 200
    replica.server.close()
    await replica.ended()


async def test_while_it_drains_it_is_not_ready_and_answers_with_close(http: aiohttp.ClientSession) -> None:
    replica = await Replica(delay=3600.0).ready()

    replica.server.terminate()
    await eventually(lambda: replica.drain.begun)

    async with http.get(f"{replica.url}/health/ready") as answer:
        report = await answer.json()
        assert (answer.status, report["status"]) == (503, "down")
        assert report["checks"]["drain"]["error"] == "the service is draining"
    async with http.get(f"{replica.url}/health/live") as answer:
        assert answer.status == 200
    async with http.get(f"{replica.url}/tea") as answer:
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
    replica.server.close()
    await replica.ended()


async def test_a_request_in_progress_comes_to_its_end(http: aiohttp.ClientSession) -> None:
    replica = await Replica(delay=0.0).ready()

    asked = asyncio.create_task(_status(http, f"{replica.url}/tea?slow=0.5"))
    await eventually(lambda: bool(replica.server._server.server_state.tasks))
    replica.server.terminate()

    assert await asked == 200
    await replica.ended()
    with pytest.raises(aiohttp.ClientConnectorError):
        await _status(http, f"{replica.url}/tea")


async def test_a_service_that_ends_says_so_once() -> None:
    said = []
    replica = await Replica(delay=0.0).ready()
    replica.drain.on_begin(lambda: said.append("draining"))

    replica.server.terminate()
    await replica.ended()

    assert said == ["draining"]


class Balancer:
    """Asks each replica whether it is ready every few milliseconds, and sends work to those that are: what a Service of
    Kubernetes does, without its seconds."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.replicas: list[Replica] = []
        self.ready: list[Replica] = []
        self.failures: list[str] = []
        self.answered = 0
        self.asked = 0  # rounds of asking, so that a test can wait for one

    async def watch(self) -> None:
        while True:
            asked = [(replica, await self._is_ready(replica)) for replica in list(self.replicas)]
            self.ready = [replica for replica, is_ready in asked if is_ready]
            self.asked += 1
            await asyncio.sleep(0.01)

    async def _is_ready(self, replica: Replica) -> bool:
        try:
            return await _status(self.http, f"{replica.url}/health/ready") == 200
        except aiohttp.ClientError:
            return False

    async def load(self) -> None:
        while True:
            if not self.ready:
                await asyncio.sleep(0)
                continue
            replica = self.ready[self.answered % len(self.ready)]
            try:
                async with self.http.post(f"{replica.url}/tea") as answer:  # POST: nobody may try it a second time
                    assert answer.status == 405
                    await answer.read()
            except aiohttp.ClientError as error:
                self.failures.append(repr(error))
            self.answered += 1


async def rolled(http: aiohttp.ClientSession, restarts: int, delay: float) -> Balancer:
    """`restarts` times a new replica comes, and an old one is ended, with requests going on."""
    balancer = Balancer(http)
    balancer.replicas = [await Replica(delay).ready()]
    work = [asyncio.create_task(balancer.watch()), *(asyncio.create_task(balancer.load()) for _ in range(4))]
    try:
        for _ in range(restarts):
            balancer.replicas.append(await Replica(delay).ready())
            await eventually(lambda: len(balancer.ready) == 2)
            old = balancer.replicas[0]
            old.server.terminate()
            await old.ended()
            balancer.replicas.remove(old)
            await eventually(lambda: len(balancer.ready) == 1)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for replica in balancer.replicas:
            replica.server.close()
            await replica.ended()
    return balancer


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


@pytest.mark.bound
async def test_replicas_that_drain_fail_no_request(http: aiohttp.ClientSession) -> None:
    # A machine that is shared may stand still for longer than half a second, and the balancer with it.
    restarts, delay = (20, 0.5) if "CORTEX_BOUNDS" in os.environ else (2, 3.0)

    balancer = await rolled(http, restarts, delay)

    assert balancer.failures == []
    assert balancer.answered > 10 * restarts


async def test_control_replicas_that_stop_listening_at_once_do(http: aiohttp.ClientSession) -> None:
    for _ in range(10):
        balancer = await rolled(http, restarts=2, delay=0.0)
        if balancer.failures:
            return
    raise AssertionError("no request met a replica that had just stopped listening")
