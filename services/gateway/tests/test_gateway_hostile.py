"""The table of hostile requests against the gateway, a service that records every byte behind it: what the client was
not answered for, no service has seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cortex_core.testing.hostile import HOSTILE, Hostile, exchange, in_pieces
from cortex_core.testing.hostile.entries import chunked, get

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
PUBLIC = b"/api/orders"


class Witness:
    """A service that believes every byte: what looks like a request is one."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self.url

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, ends = b"", b"\r\n"
        try:
            while line := await reader.readline():
                if line.rstrip().endswith(b"HTTP/1.1"):
                    self.lines.append(line)
                    method, ends = line.split()[0], b"\r\n"
                elif line.lower().startswith(b"transfer-encoding"):
                    ends = b"0\r\n"
                elif line == ends:
                    writer.write(ANSWER[:-2] if method == b"HEAD" else ANSWER)
        except ConnectionError:
            pass
        finally:
            writer.close()


def through(data: bytes) -> bytes:
    """The entry's requests as requests for something that is forwarded."""
    data = data.replace(b" / HTTP", b" /api/orders HTTP")
    data = data.replace(b" /before HTTP", b" /api/orders?before HTTP")
    return data.replace(b" /smuggled HTTP", b" /api/orders?smuggled HTTP")


@pytest.mark.parametrize("sent", ["whole", "in pieces"])
async def test_nothing_hostile_reaches_a_service(start_gateway, sent: str) -> None:  # type: ignore[no-untyped-def]
    wrong: list[str] = []
    witness = Witness()
    async with witness.listening() as url, start_gateway(order=url) as client:
        port = int(client._base_url.port)
        for hostile in HOSTILE:
            data = through(hostile.wire)
            witness.lines.clear()
            heads = 1 if hostile.name.startswith("HEAD") else 0
            answers, ended = await exchange(port, [data] if sent == "whole" else in_pieces(data, 7), heads=heads)
            wrong += complaints(hostile, [answer.status for answer in answers], ended, witness.lines)

    assert wrong == []


def complaints(hostile: Hostile, statuses: list[int], ended: bool, lines: list[bytes]) -> list[str]:
    """What is wrong with what came of an entry. A POST before a hostile one is the service's to refuse, not ours."""
    found = []
    if not ended:
        found.append(f"{hostile}: the connection goes on")
    if statuses[-1:] != [hostile.status] or len(statuses) != hostile.before + 1:
        found.append(f"{hostile}: answered {statuses}")
    if len(lines) > hostile.before + (hostile.group == "chunk"):  # whose head was right, and was forwarded as it came
        found.append(f"{hostile}: the service saw {lines}")
    if any(b"smuggled" in line for line in lines):
        found.append(f"{hostile}: smuggled")
    return found


async def test_what_is_right_is_forwarded_as_one_request(start_gateway) -> None:  # type: ignore[no-untyped-def]
    """The control of the witness: it does see what is forwarded."""
    witness = Witness()
    async with witness.listening() as url, start_gateway(order=url) as client:
        port = int(client._base_url.port)
        for data in (get(), chunked(b"5\r\nhello\r\n0\r\n\r\n")):
            answers, _ = await exchange(port, [through(data)], answers=1)
            assert [answer.status for answer in answers] == [200]

    assert [line.split()[0] for line in witness.lines] == [b"GET", b"POST"]
