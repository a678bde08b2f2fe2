"""What every `ports.Carrier` must do with what stands before a service: its circuit, its places, a second attempt."""

import asyncio

import pytest

from cortex_core.chassis import UpstreamTimeout, UpstreamUnavailable
from cortex_core.testing import assert_bound, eventually, free_port

from .carrier_server import OK, Hearing, Open, carry, departure, for_ever, replying, serving_raw


class Second:
    """When a request is sent again."""

    async def test_a_kept_connection_that_was_closed_is_no_evidence_and_the_request_is_sent_again(
        self, opened: Open
    ) -> None:
        connections = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await reader.readuntil(b"\r\n\r\n")  # and hangs up on it: as one who closed while it was on its way

        async with serving_raw(script) as address, opened(address) as carrier:
            assert [(await carry(carrier, retry=True)).body for _ in range(30)] == [b"{}"] * 30

        assert connections == 30

    async def test_what_must_not_be_sent_twice_is_not(self, opened: Open) -> None:
        requests = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal requests
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            writer.write(OK)
            await reader.readuntil(b"\r\n\r\n")
            requests += 1

        async with serving_raw(script) as address, opened(address) as carrier:
            await carry(carrier, method=b"POST")
            hearing = await carry(carrier, method=b"POST")

        assert isinstance(hearing.error, UpstreamUnavailable)
        assert hearing.error.attempted is True
        assert requests == 2

    @pytest.mark.parametrize(("retry", "requests"), [(True, 2), (False, 1)])
    async def test_where_no_answer_began_it_is_tried_once_more(self, opened: Open, retry: bool, requests: int) -> None:
        seen = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = await carry(carrier, retry=retry, budget=0.2)

        assert hearing.heard == ["failed"]
        assert len(seen) == requests
        assert (b"X-Retry-Budget: 0\r\n" in seen[-1]) is retry

    async def test_an_answer_that_has_begun_is_not_asked_for_again(self, opened: Open) -> None:
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            hearing = await carry(carrier, retry=True)

        assert hearing.heard == ["answered", "received", "failed"]

    @pytest.mark.parametrize("status", [b"502 Bad", b"503 No", b"504 Late"])
    async def test_a_service_that_says_that_it_cannot_opens_its_circuit(self, opened: Open, status: bytes) -> None:
        reply = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            for _ in range(20):
                assert (await carry(carrier)).heard == ["answered", "completed"]
            hearing = await carry(carrier)

        assert hearing.error is not None
        assert hearing.error.message == "the order service is not there now (its circuit is open)"
        assert hearing.error.attempted is False

    async def test_too_many_at_once_wait_and_then_are_refused(self, opened: Open) -> None:
        asked = 0
        go_on = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            await go_on.wait()
            writer.write(OK)
            await reader.read()

        async with serving_raw(script) as address, opened(address, connections=2) as carrier:
            hearings = [Hearing() for _ in range(5)]
            exchanges = [carrier.begin(departure(), b"", hearing) for hearing in hearings]
            await asyncio.wait_for(hearings[4].over.wait(), 5)
            assert hearings[4].error is not None
            assert "too many" in hearings[4].error.message
            await eventually(lambda: asked == 2)
            exchanges[2].abort()
            exchanges[0].abort()
            await eventually(lambda: asked == 3)
            go_on.set()
            for waiting in (hearings[1], hearings[3]):
                await asyncio.wait_for(waiting.over.wait(), 5)
                assert waiting.error is None

    async def test_who_waits_too_long_for_a_place_is_refused(self, opened: Open, real_bounds: None) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await for_ever()

        async with serving_raw(script) as address, opened(address, connections=1) as carrier:
            stuck = carrier.begin(departure(), b"", Hearing())
            hearing = await carry(carrier)
            stuck.abort()

        assert hearing.error is not None
        assert "too many" in hearing.error.message

    @pytest.mark.bound
    async def test_who_has_no_time_does_not_wait_for_a_place(self, opened: Open) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await for_ever()

        async with serving_raw(script) as address, opened(address, connections=1) as carrier:
            stuck = carrier.begin(departure(), b"", Hearing())
            loop = asyncio.get_running_loop()
            began = loop.time()
            hearing = await carry(carrier, deadline=began + 0.02)
            took = loop.time() - began
            stuck.abort()

        assert hearing.error is not None
        assert "too many" in hearing.error.message
        assert_bound(took, 0.2)

    async def test_nobody_there(self, opened: Open, black_hole: str) -> None:
        async with opened(f"http://127.0.0.1:{free_port()}") as carrier:
            refused = await carry(carrier)
        async with opened(black_hole) as carrier:
            unheard = await carry(carrier)
            hurried = await carry(carrier, timeout=0.05)

        for hearing in (refused, unheard):
            assert isinstance(hearing.error, UpstreamUnavailable)
            assert hearing.error.attempted is False
        assert isinstance(hurried.error, UpstreamTimeout)
