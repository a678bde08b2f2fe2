"""What every `ports.Upstreams` must do, over real servers. Each adapter's test subclasses the four classes and
provides `open_upstreams`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from cortex_core.chassis import UpstreamTimeout, UpstreamUnavailable
from cortex_core.observability import Tracer
from cortex_core.observability.exporters import InMemoryExporter
from cortex_core.testing import eventually, serving
from cortex_gateway.ports import Call, Closed, Upstreams
from cortex_gateway.routes import Service

from .carrier_server import for_ever, serving_raw

Open = Callable[..., AbstractAsyncContextManager[Upstreams]]


def call(service: Service = Service.ORDER, *, timeout: float = 5.0, **more: Any) -> Call:
    given = {"method": "GET", "target": "/orders", "headers": [], "body": None, "deadline_sent": True, **more}
    return Call(service=service, timeout=timeout, **given)


@asynccontextmanager
async def raw_server(reply: bytes, *, hold: bool = False) -> AsyncIterator[str]:
    """A server that answers whatever comes with these bytes, and then hangs up unless it is to `hold`."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if hold:
            await for_ever()

    async with serving_raw(respond) as address:
        yield address


def json_reply(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


class ExchangeContract:
    @pytest.fixture
    def open_upstreams(self) -> Open:
        """`open_upstreams(address or addresses, tracer=…, connections=…)`"""
        raise AssertionError("each adapter's test says how it is opened")

    async def test_each_service_has_connections_of_its_own(self, open_upstreams: Open, real_bounds: None) -> None:
        asked = 0

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            await for_ever()

        async with serving_raw(hang) as hung, raw_server(json_reply(b"{}")) as well:
            addresses = {**dict.fromkeys(Service, well), Service.STORAGE: hung}
            async with open_upstreams(addresses, connections=2) as opened:

                async def ask(service: Service) -> int:
                    async with opened.exchange(call(service)) as answer:
                        return answer.status

                stuck = [asyncio.create_task(ask(Service.STORAGE)) for _ in range(2)]
                await eventually(lambda: asked == 2)

                assert await ask(Service.ORDER) == 200
                with pytest.raises(UpstreamUnavailable, match="the storage service is not there now"):
                    await ask(Service.STORAGE)  # nobody queues behind what hangs for longer than a connection may take
                for task in stuck:
                    task.cancel()
                await asyncio.wait(stuck)

    async def test_a_call_is_a_client_span_and_the_service_its_child(self, open_upstreams: Open) -> None:
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                seen.extend(value.decode() for name, value in scope["headers"] if name == b"traceparent")
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
            else:
                for step in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{step}.complete"})

        exporter = InMemoryExporter()
        tracer = Tracer("gateway", exporter=exporter)
        async with serving(app) as client, open_upstreams(str(client._base_url), tracer=tracer) as opened:
            with tracer.start_span("GET /api/orders", kind="server") as server:
                async with opened.exchange(call()) as answer:
                    assert answer.status == 204

        assert tracer.force_flush()
        span = exporter.named("GET order")
        assert span.kind is SpanKind.CLIENT
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == server.context.span_id
        assert (span.attributes or {})["http.response.status_code"] == 204
        assert seen == [f"00-{server.context.trace_id}-{span.context.span_id:016x}-01"]

    @pytest.mark.parametrize("value", ["é".encode(), b"\xe9"])
    async def test_a_header_that_is_not_ascii_is_passed_as_it_came(self, open_upstreams: Open, value: bytes) -> None:
        seen: list[bytes] = []

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(json_reply(b"{}"))
            writer.close()

        async with (
            serving_raw(keep) as address,
            open_upstreams(address) as opened,
            opened.exchange(call(headers=[(b"x-name", value)])),
        ):
            pass

        assert b"x-name: " + value + b"\r\n" in seen[0]

    async def test_an_error_of_the_clients_body_is_raised_as_it_is(self, open_upstreams: Open) -> None:
        class TooMuch(Exception):
            pass

        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            raise TooMuch

        async with raw_server(b"", hold=True) as address, open_upstreams(address) as opened:
            with pytest.raises(TooMuch):
                async with opened.exchange(call(method="POST", body=body())):
                    pass

    async def test_a_time_out_of_the_callers_own_is_not_taken_for_the_services(self, open_upstreams: Open) -> None:
        async with raw_server(b"", hold=True) as address, open_upstreams(address) as opened:
            with pytest.raises(TimeoutError) as raised:
                async with asyncio.timeout(0.05), opened.exchange(call()):
                    pass
            assert type(raised.value) is TimeoutError

    async def test_an_error_of_whoever_reads_the_answer_is_its_own(self, open_upstreams: Open) -> None:
        async with raw_server(json_reply(b"{}")) as address, open_upstreams(address) as opened:
            with pytest.raises(TimeoutError, match="the reader's"):
                async with opened.exchange(call()):
                    raise TimeoutError("the reader's")


class FetchContract:
    async def test_it_reads_a_document(self, open_upstreams: Open) -> None:
        async with raw_server(json_reply(b'{"status":"up"}')) as address, open_upstreams(address) as opened:
            assert await opened.fetch(Service.ORDER, "/health", 1.0) == {"status": "up"}

    @pytest.mark.parametrize(
        ("reply", "why"),
        [
            (json_reply(b"{}", "404 Not Found"), "answered 404"),
            (json_reply(b"not JSON"), "is not JSON"),
            (json_reply(bytes(8 << 20) + b" "), "is larger than"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "hung up"),
            (b"gibberish\r\n\r\n", "malformed"),
        ],
    )
    async def test_anything_else_is_unavailable_and_says_why(
        self, open_upstreams: Open, reply: bytes, why: str
    ) -> None:
        async with raw_server(reply) as address, open_upstreams(address) as opened:
            with pytest.raises(UpstreamUnavailable, match=why):
                await opened.fetch(Service.ORDER, "/health", 5.0)

    async def test_a_service_that_trickles_is_timed_in_all(self, open_upstreams: Open) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
        async with raw_server(head, hold=True) as address, open_upstreams(address) as opened:
            with pytest.raises(UpstreamTimeout):
                await opened.fetch(Service.ORDER, "/health", 0.1)


class ConnectContract:
    async def test_a_service_that_cannot_be_reached_is_unavailable(self, open_upstreams: Open, black_hole: str) -> None:
        async with open_upstreams(black_hole) as opened:
            with pytest.raises(UpstreamUnavailable, match="no connection within"):
                async with opened.connect(call(), []):
                    pass

    async def test_a_service_that_does_not_answer_is_a_time_out(self, open_upstreams: Open) -> None:
        async with raw_server(b"", hold=True) as address, open_upstreams(address) as opened:
            with pytest.raises(UpstreamTimeout):
                async with opened.connect(call(timeout=0.1), []):
                    pass

    async def test_a_message_larger_than_we_take_ends_the_socket_with_its_code(self, open_upstreams: Open) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                for step in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{step}.complete"})
                return
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": bytes((1 << 20) + 1)})
            await receive()

        async with (
            serving(app) as client,
            open_upstreams(str(client._base_url)) as opened,
            opened.connect(call(), []) as socket,
        ):
            assert await socket.receive() == Closed(1009)
            await socket.send("into the void")
            await socket.send(b"into the void")


class StreamContract:
    """Bodies, as streams."""

    async def test_a_body_whose_length_is_told_is_sent_with_it(self, open_upstreams: Open) -> None:
        assert await self._seen(open_upstreams, [(b"content-length", b"4")]) == (b"Content-Length: 4", b"body")

    async def test_a_body_of_unknown_length_is_sent_in_chunks(self, open_upstreams: Open) -> None:
        framed = b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
        assert await self._seen(open_upstreams, []) == (b"Transfer-Encoding: chunked", framed)

    async def _seen(self, open_upstreams: Open, headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        seen: list[bytes] = []

        async def body() -> AsyncIterator[bytes]:
            yield b"bo"
            yield b"dy"

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            seen.append(await (reader.readexactly(4) if headers else reader.readuntil(b"0\r\n\r\n")))
            writer.write(json_reply(b"{}"))
            writer.close()

        post = call(method="POST", headers=headers, body=body(), deadline_sent=False)
        async with serving_raw(keep) as address, open_upstreams(address) as opened, opened.exchange(post) as answer:
            assert b"".join([part async for part in answer.body]) == b"{}"
        (described,) = [line for line in seen[0].split(b"\r\n") if line.startswith((b"Content-", b"Transfer-"))]
        return described, seen[1]

    async def test_a_reader_that_does_not_read_holds_the_service(self, open_upstreams: Open) -> None:
        part, count, written = bytes(1 << 16), 256, 0

        async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(part) * count))
            for _ in range(count):
                writer.write(part)
                await writer.drain()
                written += 1
            writer.close()

        async with serving_raw(send) as address, open_upstreams(address) as opened, opened.exchange(call()) as answer:
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.09)
            assert written < count
            assert sum([len(each) async for each in answer.body]) == len(part) * count

    async def test_who_leaves_early_ends_the_exchange_with_the_service_too(self, open_upstreams: Open) -> None:
        left = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
            with suppress(ConnectionError):
                await reader.read()
            left.set()
            writer.close()

        async with serving_raw(hang) as address, open_upstreams(address) as opened:
            async with opened.exchange(call()) as answer:
                assert answer.status == 200
            await asyncio.wait_for(left.wait(), 5)
