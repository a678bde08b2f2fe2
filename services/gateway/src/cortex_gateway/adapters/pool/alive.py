"""Whether a replica that keeps somebody waiting is there at all: it is asked for itself, by us and at no caller's cost.

Any byte of an answer will do: whether it is well is not the question. A process that stands still has its connections
taken by its kernel, and says nothing. A refused connection is no silence: that costs its callers nothing either way.
"""

import asyncio
import ssl
from typing import Final

from cortex_gateway.adapters.pool.addresses import Address

SUSPECT: Final = 0.5  # seconds without an answer after which it is asked
PATIENCE: Final = 1.0  # seconds for its answer, and until it is asked again
_STEPS: Final = 4


async def speaks(address: Address, tls: ssl.SSLContext | None) -> bool:
    """Whether it says something within `PATIENCE`."""
    loop = asyncio.get_running_loop()
    opening = loop.create_task(_ask(loop, address, tls))
    try:
        # In steps: if it is we who stand still for a second, that takes one of them and not all.
        for _ in range(_STEPS):
            if opening.done():
                break
            await asyncio.wait({opening}, timeout=PATIENCE / _STEPS)
        return opening.done()
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


async def _ask(loop: asyncio.AbstractEventLoop, address: Address, tls: ssl.SSLContext | None) -> None:
    """Ends when something was heard, or when there is nobody to hear from."""
    try:
        transport, question = await loop.create_connection(
            lambda: _Question(loop), address.host, address.port, ssl=tls, server_hostname=address.name if tls else None
        )
    except (OSError, ValueError):
        return
    try:
        host = address.authority.encode("ascii")
        transport.write(b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        await question.heard
    finally:
        transport.abort()


class _Question(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.heard: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        del data
        self._over()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._over()

    def _over(self) -> None:
        if not self.heard.done():
            self.heard.set_result(None)
