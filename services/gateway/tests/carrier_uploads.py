"""What every `ports.Carrier` must do with bodies."""

import asyncio

import pytest

from cortex_core.testing import eventually

from .carrier_server import OK, Hearing, Open, departure, serving_raw


class Uploads:
    """What a body goes through."""

    @pytest.mark.parametrize(
        ("method", "length", "first", "rest", "field"),
        [
            (b"POST", 4, b"body", [], b"Content-Length: 4"),
            (b"POST", 4, b"bo", [b"d", b"y"], b"Content-Length: 4"),
            (b"POST", 4, b"", [b"body"], b"Content-Length: 4"),
            (b"POST", None, b"bo", [b"", b"dy"], b"Transfer-Encoding: chunked"),
            (b"POST", None, b"", [], b"Transfer-Encoding: chunked"),
            (b"POST", 0, b"", [], b"Content-Length: 0"),
            (b"DELETE", 0, b"", [], None),
        ],
    )
    async def test_a_body_as_the_service_sees_it(
        self, opened: Open, method: bytes, length: int | None, first: bytes, rest: list[bytes], field: bytes | None
    ) -> None:
        seen: list[bytes] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
                if length is None:
                    seen.append(await reader.readuntil(b"0\r\n\r\n"))
                else:
                    seen.append(await reader.readexactly(length))
                writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            for held in (True, False):  # there is no connection yet, and then there is a kept one
                seen.clear()
                hearing = Hearing()
                exchange = carrier.begin(departure(method=method, length=length, streams=True), first, hearing)
                for part in rest:
                    exchange.write(part)
                exchange.write_eof()
                await asyncio.wait_for(hearing.over.wait(), 5)
                assert hearing.body == b"{}"
                waits = (
                    held and length is None and any(rest)
                )  # a body of 4 bytes is gathered before it needs a connection
                assert hearing.heard[:2] == (["hold", "go on"] if waits else ["answered", "received"])
                described = [line for line in seen[0].split(b"\r\n") if line.startswith((b"Content-", b"Transfer-"))]
                assert described == ([field] if field is not None else [])
                chunks = [first, *rest]
                if length is None:
                    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks if part)
                    assert seen[1] == framed + b"0\r\n\r\n"
                else:
                    assert seen[1] == b"".join(chunks)

    async def test_a_service_that_does_not_read_holds_the_body(self, opened: Open) -> None:
        reading = asyncio.Event()
        part, count = bytes(1 << 16), 256

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reading.wait()
            await reader.readexactly(len(part) * count)
            writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            asked = departure(method=b"POST", length=len(part) * count, streams=True)
            exchange = carrier.begin(asked, part, hearing)
            written = 1
            while not hearing.holding or hearing.heard[-1] != "hold":
                exchange.write(part)
                written += 1
                await asyncio.sleep(0)
                if hearing.holding and hearing.heard.count("hold") < 2 and written < 5:
                    await eventually(lambda: not hearing.holding)
            assert written < count

            reading.set()
            while written < count:
                await eventually(lambda: not hearing.holding)
                exchange.write(part)
                written += 1
            exchange.write_eof()
            await asyncio.wait_for(hearing.over.wait(), 5)

        assert hearing.body == b"{}"

    async def test_an_answer_before_the_body_has_ended_is_passed_on_and_its_connection_closed(
        self, opened: Open
    ) -> None:
        closed = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            try:
                while await reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass
            closed.set()

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            exchange = carrier.begin(departure(method=b"POST", length=100_000, streams=True), b"begun", hearing)
            await asyncio.wait_for(hearing.over.wait(), 5)
            assert hearing.head is not None
            assert (hearing.head.status, hearing.body) == (413, b"no")
            await asyncio.wait_for(closed.wait(), 5)
            exchange.write(b"nobody hears this")
            exchange.write_eof()
            exchange.pause_reading()
            exchange.resume_reading()
            exchange.abort()
