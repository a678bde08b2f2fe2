"""What the gateway says of itself, answered in one go: as the application says it, and as any other request counts."""

import asyncio
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from cortex_core.observability import configure_logging
from cortex_gateway.dataplane.heads import Heads

from .express_wire import LIST, answering, connected, express, head_of, service, whole

INDEX = b"GET /api HTTP/1.1\r\nHost: hub\r\n\r\n"
ALIVE = b"GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n"


async def test_many_on_one_connection_come_in_order_with_all_others(start_express: Any) -> None:
    async with (
        service(answering) as storage,
        start_express(storage=storage) as client,
        connected(client) as (reader, writer),
    ):
        writer.write(INDEX + LIST + ALIVE + INDEX + b"GET /api/nothing HTTP/1.1\r\nHost: hub\r\n\r\n" + INDEX)
        answers = [await whole(reader) for _ in range(6)]
        writer.write(INDEX)
        again = await whole(reader)

    assert [status for status, _ in answers] == [200, 200, 200, 200, 404, 200]
    assert answers[0][1] == answers[3][1] == answers[5][1] == again[1]
    assert json.loads(answers[2][1])["status"] == "up"


@pytest.mark.parametrize("size", [1, 9])
async def test_one_that_comes_in_pieces_is_answered_once(start_express: Any, size: int) -> None:
    async with start_express() as client:
        async with connected(client) as (reader, writer):
            for at in range(0, len(INDEX), size):
                writer.write(INDEX[at : at + size])
                await asyncio.sleep(0)
            assert (await whole(reader))[0] == 200
        assert await express(client) == 1


@pytest.mark.parametrize("asks", [INDEX.replace(b"hub", b"hub\r\nConnection: close"), INDEX.replace(b"1.1", b"1.0")])
async def test_the_connection_ends_where_it_should(start_express: Any, asks: bytes) -> None:
    async with start_express() as client, connected(client) as (reader, writer):
        writer.write(asks)
        assert b"\r\nconnection: close\r\n" in await head_of(reader)
        assert json.loads(await reader.read())


async def test_each_counts_against_its_caller_until_it_is_refused(start_express: Any, start_asgi: Any) -> None:
    told = []
    for start in (start_express, start_asgi):
        async with start({"rate_limit_per_minute": 2}) as client:
            replies = []
            for path in ("/api", "/health/live", "/api", "/api"):
                async with client.get(path) as reply:
                    problem = await reply.json() if reply.status == 429 else {}
                    left = reply.headers.get("X-RateLimit-Remaining")
                    replies.append((reply.status, left, problem.get("code"), "Retry-After" in reply.headers))
            told.append(replies)

    assert told[0] == told[1]
    assert [each[:2] for each in told[0]] == [(200, "1"), (200, None), (200, "0"), (429, "0")]


async def test_a_caller_of_whom_the_limiter_must_be_asked_waits_for_it(
    start_express: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cortex_core.ratelimit import RateLimiter

    monkeypatch.setattr(RateLimiter, "spend", lambda self, *demands, cost=1: None)
    async with start_express({"rate_limit_per_minute": 2}) as client:
        replies = []
        for _ in range(3):
            async with client.get("/api") as reply:
                replies.append((reply.status, reply.headers.get("X-RateLimit-Remaining")))
        assert await express(client) == 3

    assert replies == [(200, "1"), (200, "0"), (429, "0")]


@pytest.mark.parametrize("path", ["/api", "/health/live"])
async def test_the_access_line_is_the_applications(start_express: Any, start_asgi: Any, path: str) -> None:
    lines: list[dict[str, Any]] = []
    for start in (start_express, start_asgi):
        stream = io.StringIO()
        configure_logging(service="gateway", level="debug", stream=stream)
        try:
            headers = {"X-Request-Id": "req-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
            async with start() as client, client.get(path, headers=headers) as reply:
                assert reply.headers["X-Request-Id"] == "req-1"
                await reply.read()
        finally:
            configure_logging(service="gateway")
        lines += [json.loads(line) for line in stream.getvalue().splitlines() if '"event":"request"' in line]

    fast, slow = lines
    assert list(fast) == list(slow)
    varying = {"time", "span_id", "duration_ms"}
    assert [fast[name] for name in fast if name not in varying] == [slow[name] for name in slow if name not in varying]


async def test_it_has_a_span_where_its_trace_is_sampled(start_express: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cortex_core.chassis import assembly as chassis
    from cortex_core.observability.exporters import InMemoryExporter

    exporter = InMemoryExporter()
    monkeypatch.setattr(chassis, "_exporter", lambda settings: exporter)
    async with start_express({"trace_sample_ratio": 0.0}) as client:
        for flags in ("01", "00"):
            headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-{flags}"}
            async with client.get("/api", headers=headers) as reply:
                assert reply.status == 200

    spans = [span for span in exporter.spans if span.name == "GET /api"]
    assert [dict(span.attributes or {}) for span in spans] == [
        {
            "http.request.method": "GET",
            "http.route": "/api",
            "cortex.upstream": "gateway",
            "http.response.status_code": 200,
            "cortex.tenant": "public",
        }
    ]


async def test_figures_are_counted_by_method_and_route(start_express: Any) -> None:
    async with start_express() as client:
        for method, path in (("GET", "/api"), ("GET", "/api"), ("HEAD", "/api"), ("GET", "/health/live")):
            async with client.request(method, path) as reply:
                assert reply.status == 200
        async with client.get("/metrics") as page:
            figures = await page.text()

    def counted(
        method: str, route: str, names: Sequence[str] = ("requests_total", "request_duration_seconds_count")
    ) -> Any:
        labels = f'{{method="{method}",route="{route}",service="gateway",status="200"}} '
        lines = [line for line in figures.splitlines() if labels in line and any(name in line for name in names)]
        return [float(line.rpartition(" ")[2]) for line in lines]

    found = [counted("GET", "/api"), counted("HEAD", "/api"), counted("GET", "/health/live")]
    assert found == [[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]]
    assert 'cortex_gateway_lane_total{lane="express"} 4.0' in figures


async def test_the_date_is_that_of_the_second(start_express: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n", b"date: Tue, 14 Nov 2023 22:13:21 GMT\r\n"]
    monkeypatch.setattr(Heads, "date", lambda self, now: said[0])
    async with start_express() as client:
        dates = []
        for _ in range(2):
            for _ in range(2):
                async with client.get("/api") as reply:
                    dates.append(f"date: {reply.headers['Date']}\r\n".encode())
            said.reverse()

    assert dates == [said[0], said[0], said[1], said[1]]
