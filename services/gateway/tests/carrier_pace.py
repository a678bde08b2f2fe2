"""What every `ports.Carrier` must do with time: who waits for whom, and for how long."""

import asyncio
from contextlib import suppress

import pytest

from cortex_core.chassis import OutOfTime, UpstreamTimeout
from cortex_core.testing import eventually
from cortex_gateway.ports import Head

from .carrier_server import OK, Hearing, Open, carry, departure, for_ever, replying, serving_raw


class Pace:
    """Who waits for whom, and for how long."""

    async def test_a_client_that_does_not_take_more_holds_the_service(self, opened: Open) -> None:
        part, count = bytes(1 << 16), 256
        written = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(part) * count))
            for _ in range(count):
                writer.write(part)
                await writer.drain()
                written += 1
            writer.write(b"")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            exchange = carrier.begin(departure(timeout=0.2), b"", hearing)
            hears = hearing.answered

            def answered(head: Head) -> None:
                hears(head)
                exchange.pause_reading()
                exchange.pause_reading()

            hearing.answered = answered  # type: ignore[method-assign]
            await eventually(lambda: hearing.head is not None)
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.09)
            await asyncio.sleep(0.09)  # longer than the service would have: it is our turn
            await asyncio.sleep(0.09)
            await asyncio.sleep(0.09)
            assert len(hearing.parts) <= 1
            assert written < count
            exchange.resume_reading()
            exchange.resume_reading()
            await asyncio.wait_for(hearing.over.wait(), 10)
            assert (len(hearing.body), hearing.error) == (len(part) * count, None)
            assert (await carry(carrier)).body == b"{}"

    async def test_a_client_that_takes_nothing_from_the_beginning_is_sent_nothing(self, opened: Open) -> None:
        async with serving_raw(replying(OK)) as address, opened(address) as carrier:
            hearing = Hearing()
            exchange = carrier.begin(departure(timeout=0.05), b"", hearing)
            exchange.pause_reading()
            await asyncio.sleep(0.09)
            assert hearing.heard == []
            exchange.resume_reading()
            await asyncio.wait_for(hearing.over.wait(), 5)

        assert hearing.body == b"{}"

    @pytest.mark.parametrize(
        "begun", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["no", "head", "body"]
    )
    async def test_a_service_that_shows_no_sign_of_life_is_a_time_out(self, opened: Open, begun: bytes) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(begun)
            await for_ever()

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = await carry(carrier, timeout=0.05)

        assert type(hearing.error) is UpstreamTimeout
        assert hearing.error.message == "the order service kept us waiting for 0.05 s"

    async def test_a_service_that_shows_signs_of_life_has_its_time_anew(self, opened: Open) -> None:
        loop, longest, last = asyncio.get_running_loop(), 1.0, 0.0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal longest, last
            await reader.readuntil(b"\r\n\r\n")
            for part in (*(bytes([byte]) for byte in OK[:12]), OK[12:]):
                longest, last = max(longest, loop.time() - last), loop.time()
                writer.write(part)
                await asyncio.sleep(0.05)

        while longest >= 0.4:  # the machine stood still, and not only the service: that is no sign of life
            longest, last = 0.0, (began := loop.time())
            async with serving_raw(script) as address, opened(address) as carrier:
                hearing = await carry(carrier, timeout=0.4)

        assert loop.time() - began > 0.4
        assert (hearing.body, hearing.error) == (b"{}", None)

    async def test_a_service_that_stops_reading_a_body_is_a_time_out(self, opened: Open) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await for_ever()

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            asked = departure(method=b"POST", length=1 << 30, timeout=0.1, streams=True)
            exchange = carrier.begin(asked, b"x", hearing)
            while not hearing.over.is_set():
                if not hearing.holding:
                    exchange.write(bytes(1 << 16))
                await asyncio.sleep(0)

        assert type(hearing.error) is UpstreamTimeout

    @pytest.mark.parametrize(("length", "framed"), [(2, b"ab"), (None, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")])
    async def test_a_client_that_is_slow_with_its_body_is_not_the_services_fault(
        self, opened: Open, length: int | None, framed: bytes
    ) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n" + framed)
            writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            asked = departure(method=b"POST", length=length, timeout=0.03, streams=length is None)
            exchange = carrier.begin(asked, b"a", hearing)
            await asyncio.sleep(0.09)
            exchange.write(b"b")
            exchange.write_eof()
            await asyncio.wait_for(hearing.over.wait(), 5)

        assert (hearing.body, hearing.error) == (b"{}", None)

    async def test_a_deadline_is_kept_though_the_service_goes_on(self, opened: Open) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        async with serving_raw(script) as address, opened(address) as carrier:
            loop = asyncio.get_running_loop()
            hearing = await carry(carrier, deadline=loop.time() + 0.1, streams=True)

        assert type(hearing.error) is OutOfTime
        assert hearing.heard[0] == "answered"

    async def test_a_deadline_that_has_passed_is_no_request(self, opened: Open) -> None:
        asked = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = await carry(carrier, deadline=asyncio.get_running_loop().time() - 1.0)

        assert type(hearing.error) is OutOfTime
        assert asked == []

    @pytest.mark.parametrize(
        ("streams", "hurried", "told"), [(False, False, True), (True, False, False), (True, True, True)]
    )
    async def test_the_service_is_told_how_long_somebody_waits(
        self, opened: Open, streams: bool, hurried: bool, told: bool
    ) -> None:
        seen = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            deadline = asyncio.get_running_loop().time() + 2.0 if hurried else None
            await carry(carrier, streams=streams, deadline=deadline)

        values = [int(line.partition(b": ")[2]) for line in seen[0].split(b"\r\n") if line.startswith(b"X-Request-D")]
        assert len(values) == told
        if told:
            assert values[0] == 5000 if not hurried else 1000 < values[0] <= 2000

    async def test_who_aborts_hears_nothing_more_and_the_service_sees_it_at_once(self, opened: Open) -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            with suppress(ConnectionError):
                await reader.read()
            left.set()

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            exchange = carrier.begin(departure(), b"", hearing)
            await asked.wait()
            exchange.abort()
            exchange.abort()
            exchange.write(b"x")
            exchange.write_eof()
            await asyncio.wait_for(left.wait(), 5)

        assert hearing.heard == []

    async def test_who_aborts_in_the_middle_of_what_it_hears_hears_nothing_more(self, opened: Open) -> None:
        async with serving_raw(replying(OK)) as address, opened(address) as carrier:
            hearing = Hearing()
            exchange = carrier.begin(departure(), b"", hearing)
            hearing.answered = lambda head: exchange.abort()  # type: ignore[method-assign]
            await asyncio.sleep(0.05)

        assert hearing.heard == []

    async def test_who_aborts_before_there_is_a_connection_hears_nothing(self, opened: Open) -> None:
        async with serving_raw(replying(OK, OK)) as address, opened(address) as carrier:
            hearing = Hearing()
            carrier.begin(departure(), b"", hearing).abort()
            assert (await carry(carrier)).body == b"{}"

        assert hearing.heard == []
