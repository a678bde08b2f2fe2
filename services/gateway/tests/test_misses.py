"""Many who ask at once for what is not kept: one asks the service, and whatever becomes of that, all are answered."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import pytest

from cortex_core.asgi.http_cache import CachePolicy
from cortex_core.testing import eventually
from cortex_gateway import wiring
from cortex_gateway.adapters import kept
from cortex_gateway.routes import ROUTES, RouteTable

from .express_wire import express

PATH = "/api/orders/ord_1"
MANY = 5


class Orders:
    """A service that answers when its gate is open: `first` to the first request, `then` to those behind it. It
    says that it lives, and that does not count."""

    def __init__(self, first: Any = None, then: Any = None) -> None:
        self.gate = asyncio.Event()
        self.asked = 0
        self.first, self.then = first or _answered, then or _answered

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/health/live":
            return await _answered(send)
        self.asked += 1
        answering = self.first if self.asked == 1 else self.then
        await self.gate.wait()
        return await answering(send)


async def _answered(send: Any, *more: tuple[bytes, bytes], status: int = 200) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def _failing(send: Any) -> None:
    await _answered(send, status=500)


async def _breaking_off(send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
    raise ConnectionError


async def _not_to_be_kept(send: Any) -> None:
    await _answered(send, (b"cache-control", b"no-store"))


async def _varying(send: Any) -> None:
    await _answered(send, (b"vary", b"Accept-Language"))


async def _get(client: aiohttp.ClientSession, **headers: str) -> tuple[int, bytes, str]:
    async with client.get(PATH, headers=headers) as reply:
        return reply.status, await reply.read(), reply.headers.get("Cache-Status", "")


async def _crowd(client: aiohttp.ClientSession, orders: Orders, count: int = MANY) -> list[Any]:
    """So many at once; they have all come before the first is answered."""
    tasks = [asyncio.create_task(_get(client)) for _ in range(count)]
    await eventually(lambda: orders.asked == 1)
    await asyncio.sleep(0.05)
    return tasks


async def test_one_asks_for_all(start_gateway: Any, lane: str) -> None:
    orders = Orders()
    async with start_gateway(order=orders) as client:
        tasks = await _crowd(client, orders)
        orders.gate.set()
        answers = await asyncio.gather(*tasks)

        assert orders.asked == 1
        assert {(status, body) for status, body, _ in answers} == {(200, b"{}")}
        told = sorted(cache.removesuffix("; stored; collapsed") for *_, cache in answers)
        assert told == ["cortex-gateway; fwd=uri-miss; fwd-status=200"] * (MANY - 1) + [
            "cortex-gateway; fwd=uri-miss; fwd-status=200; stored"
        ]
        assert (await _get(client))[2].startswith("cortex-gateway; hit")
        assert await express(client) == (MANY + 1 if lane == "express" else 0)
        async with client.get("/metrics") as page:
            text = await page.text()
        assert f'answers_total{{collapsed="yes",outcome="miss"}} {MANY - 1}.0' in text
        assert 'answers_total{collapsed="no",outcome="miss"} 1.0' in text


async def test_who_asks_for_all_may_leave(start_gateway: Any) -> None:
    orders = Orders()
    async with start_gateway(order=orders) as client:
        first = asyncio.create_task(_get(client))
        await eventually(lambda: orders.asked == 1)
        others = [asyncio.create_task(_get(client)) for _ in range(MANY)]
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.wait([first])
        await asyncio.sleep(0.05)
        orders.gate.set()
        answers = await asyncio.gather(*others)

    assert [answer[:2] for answer in answers] == [(200, b"{}")] * MANY
    assert orders.asked <= 2


async def test_those_who_wait_may_leave(start_gateway: Any) -> None:
    orders = Orders()
    async with start_gateway(order=orders) as client:
        first, second, third = await _crowd(client, orders, 3)
        second.cancel()
        await asyncio.wait([second])
        orders.gate.set()

        assert [(await task)[:2] for task in (first, third)] == [(200, b"{}")] * 2
    assert orders.asked == 1


@pytest.mark.parametrize("first", [_not_to_be_kept, _varying])
async def test_what_cannot_be_shared_is_asked_for_by_each(start_express: Any, first: Any) -> None:
    orders = Orders(first)
    async with start_express(order=orders) as client:
        tasks = await _crowd(client, orders)
        orders.gate.set()
        answers = await asyncio.gather(*tasks)

    assert [answer[:2] for answer in answers] == [(200, b"{}")] * MANY
    assert orders.asked >= (2 if first is _varying else MANY)


@pytest.mark.parametrize(("first", "status"), [(_failing, 500), (_breaking_off, 503)])
async def test_where_the_first_one_fails_another_asks_for_all_who_wait(
    start_express: Any, first: Any, status: int
) -> None:
    orders = Orders(first)
    async with start_express(order=orders) as client:
        tasks = await _crowd(client, orders)
        orders.gate.set()
        answers = await asyncio.gather(*tasks)

    assert sorted(answer[0] for answer in answers) == [200] * (MANY - 1) + [status]
    assert orders.asked == 2


async def test_one_that_fails_twice_is_not_asked_by_all_who_wait(start_express: Any) -> None:
    orders = Orders(_failing, then=_failing)
    async with start_express(order=orders) as client:
        tasks = await _crowd(client, orders)
        orders.gate.set()
        answers = await asyncio.gather(*tasks)

    assert sorted(answer[0] for answer in answers) == [500, 500] + [503] * (MANY - 2)
    assert sum(b"http-cache.failed" in answer[1] for answer in answers) == MANY - 2
    assert orders.asked == 2


async def test_one_that_hangs_is_asked_once_and_nobody_waits_for_it_twice(
    start_express: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_TABLE", RouteTable([replace(route, timeout=0.5) for route in ROUTES]))
    orders = Orders()
    async with start_express(order=orders) as client:
        answers = await asyncio.gather(*await _crowd(client, orders))
        orders.gate.set()

    assert [answer[0] for answer in answers] == [504] * MANY
    assert orders.asked == 1


async def test_nobody_waits_for_longer_than_the_cache_lets_them(
    start_express: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "CachePolicy", partial(CachePolicy, collapse_wait=0.01))
    orders = Orders()
    async with start_express(order=orders) as client:
        tasks = [asyncio.create_task(_get(client)) for _ in range(MANY)]
        await eventually(lambda: orders.asked == MANY)
        orders.gate.set()

        assert {answer[:2] for answer in await asyncio.gather(*tasks)} == {(200, b"{}")}
