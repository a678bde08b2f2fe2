"""The pool in front of several replicas, and of names that stand for some. Real servers."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from cortex_core.testing import eventually
from cortex_gateway.adapters.pool import service

from .carrier_server import OK, Hearing, carry, departure, serving_raw
from .pool_front import UNWELL, counting, in_front_of, nobody


class TestReplicas:
    async def test_all_are_asked(self) -> None:
        seen: list[int] = []
        async with in_front_of(*(counting(OK, seen, number) for number in range(3))) as front:
            for _ in range(9):
                assert (await carry(front.pool)).body == b"{}"

        assert sorted(seen) == [0, 0, 0, 1, 1, 1, 2, 2, 2]

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    async def test_one_that_is_dead_costs_its_callers_nothing(self, method: bytes) -> None:
        seen: list[int] = []
        async with in_front_of(counting(OK, seen, 0), nobody(), counting(OK, seen, 2)) as front:
            for _ in range(60):
                hearing = await carry(front.pool, method=method, retry=method == b"GET")
                assert (hearing.body, hearing.error) == (b"{}", None)

            assert front.figure("cortex_upstream_ejections_total") == 1
            assert front.metrics.value("cortex_circuit_breaker_state", name="order") == 0
            assert front.metrics.value("cortex_retries_total", name="order") is None

    async def test_a_body_goes_to_the_one_that_is_there(self) -> None:
        got = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"Content-Length: 4\r\n" in head
                got.append(await reader.readexactly(4))
                writer.write(OK)

        async with in_front_of(nobody(), script) as front:
            for _ in range(4):
                hearing = Hearing()
                exchange = front.pool.begin(departure(method=b"POST", length=4), b"bo", hearing)
                exchange.write(b"dy")
                exchange.write_eof()
                await asyncio.wait_for(hearing.over.wait(), 5)
                assert hearing.body == b"{}"

        assert got == [b"body"] * 4

    async def test_one_that_breaks_off_is_tried_elsewhere(self) -> None:
        seen: list[int] = []

        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            seen.append(0)

        async with in_front_of(breaks, counting(OK, seen, 1)) as front:
            for _ in range(30):
                assert (await carry(front.pool, retry=True)).body == b"{}"

            assert front.metrics.value("cortex_circuit_breaker_state", name="order") == 0
        assert seen.count(0) == 5

    async def test_one_that_says_that_it_cannot_is_left_out_and_the_circuit_stays_closed(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(UNWELL, seen, 0), counting(OK, seen, 1)) as front:
            statuses = []
            for _ in range(60):
                hearing = await carry(front.pool)
                assert hearing.head is not None
                statuses.append(hearing.head.status)

            assert front.metrics.value("cortex_circuit_breaker_state", name="order") == 0
            assert front.figure("cortex_upstream_ejections_total") == 1
        assert statuses.count(503) == 5
        assert seen.count(0) == 5

    async def test_where_all_fail_the_circuit_opens(self) -> None:
        async with in_front_of(nobody(), nobody()) as front:
            for _ in range(30):
                assert (await carry(front.pool)).heard == ["failed"]

            assert front.metrics.value("cortex_circuit_breaker_state", name="order") == 2


class TestNames:
    async def test_a_name_is_resolved_anew_and_what_fails_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []
        async with serving_raw(counting(OK, seen, 0)) as address:
            port = address.rpartition(":")[2]
            hosts: list[str] | None = ["127.0.0.1"]

            async def resolve(configured: Any) -> Any:
                if hosts is None:
                    raise OSError("no such name")
                return [replace(configured, host=host) for host in hosts]

            monkeypatch.setattr(service, "resolve", resolve)
            async with in_front_of(f"http://order.test:{port}") as front:
                await eventually(lambda: front.order.replicas.all[0].address.host == "127.0.0.1")
                assert (await carry(front.pool)).body == b"{}"
                first = front.order.replicas.all[0]

                hosts = None
                await front.order.resolve()
                assert front.order.replicas.all == [first]

                hosts = ["127.0.0.2"]
                await front.order.resolve()
                assert [replica.address.host for replica in front.order.replicas.all] == ["127.0.0.2"]
                await eventually(lambda: not first.connections)

    async def test_what_is_under_way_to_a_replica_that_left_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        go_on, hearing = asyncio.Event(), Hearing()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            writer.write(OK)
            await reader.read()

        async with in_front_of(slow) as front:
            front.pool.begin(departure(), b"", hearing)
            await eventually(lambda: front.order.active() == 1)
            left = front.order.replicas.all[0]

            front.order.replicas.become([replace(left.address, host="127.0.0.2")])
            assert front.order.outstanding() == 1
            go_on.set()
            await asyncio.wait_for(hearing.over.wait(), 5)
            await eventually(lambda: not left.connections)

        assert hearing.body == b"{}"

    async def test_a_name_that_nobody_knows_is_a_service_that_is_not_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def nobody_knows(*_: Any, **__: Any) -> Any:  # a real resolver may take longer than the request has
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody_knows)
        async with in_front_of("http://order.invalid:3001") as front:
            hearing = await carry(front.pool)

        assert hearing.error is not None
        assert hearing.error.code == "upstream.unavailable"
