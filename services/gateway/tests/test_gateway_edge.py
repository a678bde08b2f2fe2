"""What stands before the routes: compression, the cache, security headers, circuits. As curl sees them."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import brotli
import pytest
import zstandard

from cortex_core.asgi.compression import Precompressed
from cortex_core.testing import FakeClock, eventually

LIST = b'{"orders":[' + b",".join(b'{"orderId":"ord_%d"}' % n for n in range(200)) + b"]}"
JSON = (b"content-type", b"application/json")


@asynccontextmanager
async def raw(client: Any, accepted: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """The list of orders, as it came."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{str(client._base_url).rstrip('/')}/api/orders", headers={"Accept-Encoding": accepted}) as reply,
    ):
        yield reply


async def status_of(client: Any, path: str = "/api/orders", headers: Mapping[str, str] | None = None) -> int:
    async with client.get(path, headers=headers) as reply:
        await reply.read()
        return int(reply.status)


class TestCompression:
    @pytest.mark.parametrize(
        ("accepted", "coding", "decoded"),
        [
            ("gzip", "gzip", gzip.decompress),
            ("gzip, br, zstd", "zstd", lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)),
            ("gzip;q=0, br", "br", brotli.decompress),
            ("gzip;q=0", None, bytes),
        ],
    )
    async def test_the_client_chooses(
        self, start_gateway: Any, recorder: Any, accepted: str, coding: str | None, decoded: Any
    ) -> None:
        async with start_gateway(order=recorder(200, LIST, [JSON])) as client, raw(client, accepted) as reply:
            body = await reply.read()

        assert reply.headers.get("Content-Encoding") == coding
        assert "Accept-Encoding" in reply.headers["Vary"]
        assert decoded(body) == LIST

    async def test_what_is_short_stays_as_it_is(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder(200, b'{"orders":[]}', [JSON, (b"content-length", b"13")])
        async with start_gateway(order=order) as client, client.get("/api/orders") as reply:
            assert await reply.read() == b'{"orders":[]}'

        assert "Content-Encoding" not in reply.headers

    async def test_a_stream_is_encoded_part_by_part(self, start_gateway: Any) -> None:
        goes_on = asyncio.Event()

        async def order(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
            await send({"type": "http.response.body", "body": LIST, "more_body": True})
            await goes_on.wait()
            await send({"type": "http.response.body", "body": LIST})

        async with start_gateway(order=order) as client, raw(client, "zstd") as reply:
            decoder = zstandard.ZstdDecompressor().decompressobj()
            first = b""
            while len(first) < len(LIST):
                first += decoder.decompress(await reply.content.readany())
            goes_on.set()
            rest = decoder.decompress(await reply.content.read())

        assert (first, rest) == (LIST, LIST)

    async def test_what_a_service_has_encoded_is_passed_on(self, start_gateway: Any, recorder: Any) -> None:
        encoded = gzip.compress(LIST)
        order = recorder(200, encoded, [JSON, (b"content-encoding", b"gzip")])
        async with start_gateway(order=order) as client, raw(client, "zstd, gzip") as reply:
            assert await reply.read() == encoded

        assert reply.headers.getall("Content-Encoding") == ["gzip"]

    async def test_immutable_files_are_compressed_once(
        self, start_gateway: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept: list[bytes] = []
        monkeypatch.setattr(Precompressed, "put", lambda self, key, encoded: kept.append(encoded))
        length = (b"content-length", str(len(LIST)).encode())
        storage = recorder(200, LIST, [JSON, length, (b"cache-control", b"public, max-age=60, immutable")])
        async with start_gateway(storage=storage) as client:
            path, headers = "/api/storage/files/bafy", {"Accept-Encoding": "gzip"}
            assert await status_of(client, path, headers) == 200
            await eventually(lambda: kept)

        assert [gzip.decompress(encoded) for encoded in kept] == [LIST]


class TestCache:
    async def test_what_a_service_lets_be_kept_is_asked_once(self, start_gateway: Any, recorder: Any) -> None:
        order, clock = recorder(200, LIST, [JSON, (b"cache-control", b"public, max-age=60")]), FakeClock()
        async with start_gateway(None, {"clock": clock}, order=order) as client:
            async with client.get("/api/orders/ord_1") as first:
                await first.read()
            await clock.advance(1.5)  # of two seconds
            async with client.get("/api/orders/ord_1") as second:
                assert await second.read() == LIST

        assert len(order.requests) == 1
        assert first.headers["Cache-Status"].startswith("cortex-gateway; fwd=uri-miss")
        assert second.headers["Cache-Status"].startswith("cortex-gateway; hit; ttl=")
        assert second.headers["Age"] == "1"
        assert len(second.headers.getall("Date")) == 1

    async def test_a_client_that_has_it_is_told_so(self, start_gateway: Any, recorder: Any) -> None:
        analytics = recorder(200, LIST, [JSON, (b"cache-control", b"public, max-age=60"), (b"etag", b'"v1"')])
        async with start_gateway(None, {"clock": FakeClock()}, analytics=analytics) as client:
            await status_of(client, "/api/analytics/metrics")
            headers = {"If-None-Match": 'W/"v1"'}
            async with client.get("/api/analytics/metrics", headers=headers) as reply:
                assert (reply.status, await reply.read()) == (304, b"")

        assert len(analytics.requests) == 1

    @pytest.mark.parametrize("control", [b"public, max-age=60", b"private, max-age=60", None])
    async def test_a_route_that_has_no_caching_is_asked_each_time(
        self, start_gateway: Any, recorder: Any, control: bytes | None
    ) -> None:
        storage = recorder(200, LIST, [JSON, *([(b"cache-control", control)] if control else [])])
        async with start_gateway(storage=storage) as client:
            assert [await status_of(client, "/api/storage/files") for _ in range(3)] == [200] * 3

        assert len(storage.requests) == 3

    async def test_analytics_figures_serve_for_a_second_whatever_it_says(
        self, start_gateway: Any, recorder: Any
    ) -> None:
        analytics = recorder(200, LIST, [JSON])
        async with start_gateway(None, {"clock": FakeClock()}, analytics=analytics) as client:
            assert [await status_of(client, "/api/analytics/metrics") for _ in range(2)] == [200, 200]

        assert len(analytics.requests) == 1

    @pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/docs"])
    async def test_what_is_of_this_moment_is_never_kept(self, start_gateway: Any, path: str) -> None:
        async with start_gateway() as client, client.get(path) as reply:
            assert reply.headers["Cache-Status"].startswith("cortex-gateway; fwd=bypass")

    async def test_it_can_be_left_out(self, start_gateway: Any, recorder: Any) -> None:
        analytics = recorder(200, LIST, [JSON, (b"cache-control", b"public, max-age=60")])
        async with (
            start_gateway({"cache_bytes": 0}, analytics=analytics) as client,
            client.get("/api/analytics/metrics") as reply,
        ):
            assert "Cache-Status" not in reply.headers


class TestCircuits:
    async def test_a_service_that_fails_is_left_alone_for_a_second(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder(503, b"{}", [(b"retry-after", b"1")])
        async with start_gateway(order=order) as client:
            asked = [await status_of(client) for _ in range(25)]
            async with client.get("/api/orders") as reply:
                told = await reply.json()
            async with client.get("/metrics") as page:
                metrics = await page.text()

        assert asked == [503] * 25
        assert len(order.requests) == 20
        assert (told["code"], told["service"]) == ("upstream.unavailable", "order")
        assert 'cortex_circuit_breaker_state{name="order"} 2.0' in metrics
        assert 'cortex_circuit_breaker_state{name="storage"} 0.0' in metrics

    async def test_it_is_still_asked_how_it_is(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder(503, b"{}")
        async with start_gateway(order=order) as client:
            for _ in range(21):
                await status_of(client)
            await status_of(client, "/health")

        assert [request["path"] for request in order.requests].count("/health") == 1

    @pytest.mark.parametrize(("method", "status", "asked"), [("GET", 200, 2), ("POST", 503, 1)])
    async def test_a_connection_that_breaks_is_tried_again_where_that_is_safe(
        self, start_gateway: Any, method: str, status: int, asked: int
    ) -> None:
        heads: list[bytes] = []

        async def breaks_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if len(heads) > 1:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            writer.close()

        async with await asyncio.start_server(breaks_once, "127.0.0.1", 0) as server:
            order = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with start_gateway(order=order) as client, client.request(method, "/api/orders") as reply:
                assert reply.status == status

        assert len(heads) == asked
        if method == "GET":
            assert b"x-retry-budget: 0\r\n" in heads[-1].lower()  # there is no retry of a retry


class TestHead:
    async def test_head_is_served_wherever_get_is(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder(200, b"", [JSON, (b"content-length", b"2")])
        async with start_gateway(order=order) as client:
            for path in ("/health", "/metrics", "/openapi.json", "/docs", "/api/orders"):
                async with client.head(path) as reply:
                    assert (reply.status, await reply.read()) == (200, b""), path

        assert order.requests[-1]["method"] == "HEAD"
