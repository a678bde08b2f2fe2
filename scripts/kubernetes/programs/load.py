"""Clients of the hub in a pod: they ask all the time, try nothing again, and count every answer that is no success.

Standard library alone: it runs in the gateway's image. Half of the readers keep their connection, half open a new one
for each request, since a roll-out breaks the two in different ways; a third kind places orders. Every second a line of
JSON says what was so far: `requests`, `failures` (the first in words), and the orders acknowledged since, by id.

    HUB_URL=http://hub-gateway:3000 HUB_TOKEN_FILE=/load/token python load.py
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

READERS = int(os.environ.get("HUB_READERS", "4"))  # of each kind
BUYERS = int(os.environ.get("HUB_BUYERS", "2"))
UPLOADS = int(os.environ.get("HUB_UPLOADS", "0"))  # requests that stay in progress
EVERY = float(os.environ.get("HUB_EVERY", "0.2"))  # seconds from one request of a client to its next
PATIENCE = 15.0
IDLE = 2.0  # seconds after which a kept connection is not used again; the hub closes it after five
WHERE = urlsplit(os.environ["HUB_URL"])
TOKEN = Path(os.environ["HUB_TOKEN_FILE"]).read_text().strip()
ORDER = {"customerId": "cus_load", "currency": "EUR", "paymentToken": "tok_ok"}
ITEMS = [{"sku": "book", "quantity": 1, "unitPrice": 1250}]


class Tally:
    """What was seen."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.failures: list[str] = []
        self.failed = 0
        self.orders: list[str] = []
        self.slowest = 0.0

    def failure(self, kind: str, words: str) -> None:
        self.failed += 1
        if len(self.failures) < 30:
            self.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {kind}: {words}"[:200])

    def line(self) -> str:
        placed, self.orders = self.orders, []
        seen = {"requests": dict(self.requests), "failed": self.failed, "failures": self.failures}
        return json.dumps({**seen, "slowest": round(self.slowest, 3), "orders": placed})


class Client:
    """One client and, where it keeps one, its connection."""

    def __init__(self, tally: Tally, kind: str, *, keeps: bool) -> None:
        self._tally, self._kind, self._keeps = tally, kind, keeps
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes | None:
        """The answer's body; None for what is not 2xx, which is counted. Asked once: a POST may not be sent again."""
        self._tally.requests[self._kind] += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await self._exchange(method, path, body)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self._drop()
            self._tally.failure(self._kind, f"{method} {path}: {type(error).__name__} {error}")
            return None
        self._tally.slowest = max(self._tally.slowest, time.monotonic() - began)
        if not 200 <= status < 300:
            self._tally.failure(self._kind, f"{method} {path}: {status} {answer[:120].decode(errors='replace')}")
            return None
        return answer

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        reader, writer = await self._connection()
        head = [
            f"{method} {path} HTTP/1.1",
            f"Host: {WHERE.netloc}",
            f"Authorization: Bearer {TOKEN}",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
            "Connection: keep-alive" if self._keeps else "Connection: close",
        ]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        status, headers = await _head(reader)
        answer = await _body(reader, headers)
        self._used = time.monotonic()
        if not self._keeps or headers.get("connection", "").lower() == "close":
            self._drop()
        return status, answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The one that is kept, unless it was idle for so long that the hub may be closing it at this moment: on a node
        that stalls, a client that asks five times a second is idle for seconds."""
        if self._streams is not None and (self._streams[0].at_eof() or time.monotonic() - self._used > IDLE):
            self._drop()
        if self._streams is None:
            self._streams = await asyncio.open_connection(WHERE.hostname, WHERE.port or 80)
        return self._streams

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in headers.items()}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append(await reader.readexactly(size + 2))
        await reader.readuntil(b"\r\n")
        return b"".join(part[:-2] for part in parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def reads(client: Client, number: int) -> None:
    await client.ask("GET", ("/api/orders?limit=1", "/api/analytics/metrics")[number % 2])


async def buys(client: Client, tally: Tally) -> None:
    answer = await client.ask("POST", "/api/orders", json.dumps({**ORDER, "items": ITEMS}).encode())
    if answer is not None:
        tally.orders.append(json.loads(answer)["orderId"])


async def uploads(tally: Tally) -> None:
    """A file that takes its time: 12 KiB a second for half a minute. It counts once it is over."""
    reader, writer = await asyncio.open_connection(WHERE.hostname, WHERE.port or 80)
    head = f"POST /api/storage/files HTTP/1.1\r\nHost: {WHERE.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(
        f"{head}Content-Type: text/plain\r\nContent-Length: {300 * 1200}\r\nConnection: close\r\n\r\n".encode()
    )
    try:
        for _ in range(300):
            writer.write(b"x" * 1200)
            await writer.drain()
            await asyncio.sleep(0.1)
        status, headers = await _head(reader)
        answer = await _body(reader, headers)
        tally.requests["uploads"] += 1
        if not 200 <= status < 300:
            tally.failure("uploads", f"{status} {answer[:120].decode(errors='replace')}")
    except (OSError, EOFError) as error:
        tally.failure("uploads", f"{type(error).__name__} {error}")
    finally:
        writer.close()


async def goes_on(work: Callable[[], Awaitable[None]], every: float) -> None:
    while True:
        await work()
        await asyncio.sleep(every)


async def main() -> None:
    tally = Tally()
    async with asyncio.TaskGroup() as tasks:
        for number in range(READERS):
            for kind, keeps in (("kept", True), ("new", False)):
                client = Client(tally, kind, keeps=keeps)
                tasks.create_task(goes_on(lambda client=client, number=number: reads(client, number), EVERY))  # type: ignore[misc]
        for number in range(BUYERS):
            client = Client(tally, "orders", keeps=number % 2 == 0)
            tasks.create_task(goes_on(lambda client=client: buys(client, tally), 2 * EVERY))  # type: ignore[misc]
        for _ in range(UPLOADS):
            tasks.create_task(goes_on(lambda: uploads(tally), EVERY))
        while True:
            await asyncio.sleep(1)
            print(tally.line(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
