"""What the real parser and the real guards make of bytes, and whether they were asked at all."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, guarded
from cortex_core.chassis.http_protocol.heads import BARE
from cortex_core.chassis.http_protocol.watch import Phase

Read = tuple[bytes, bytes, list[tuple[bytes, bytes]], str]  # method, target, headers; whether it may be remembered


class Listening(HttpProtocol):
    """Reads with every guard, and notes what it would hand on."""

    seen: list[Read]
    body = b""
    whole = False

    def dispatch(self) -> None:
        self.cycle: Any = Answered()
        said = (self.method, self.url, list(self.headers))
        framing = self.framing
        clean = self.head_is_all and self.keep_alive and self.scope["http_version"] == "1.1"
        has_length = framing.length is not None and not framing.expects_continue
        self.seen.append((*said, ("alone" if framing is BARE else "with body" if has_length else "") if clean else ""))
        self.body = b""

    def deliver(self, body: bytes) -> None:
        self.body += body

    def delivered(self) -> None:
        self.whole = True

    def _open_websocket(self, early: bytes) -> None:
        self.seen.append((b"", b"", [(b"early", early)], ""))


class Answered:
    response_complete = response_started = True
    disconnected = waiting_for_100_continue = False
    message_event = asyncio.Event()


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.said = b""

    def write(self, data: Any) -> None:
        self.said += data

    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def read(data: bytes) -> tuple[list[Read], bytes, bytes | None]:
    """What a new connection makes of `data`, what it answers by itself, and the last request's body if that is whole
    and the connection waits for another request."""

    async def one() -> tuple[list[Read], bytes, bytes | None]:
        made = guarded(Listening, ConnectionLimits())
        protocol: Any = made(uvicorn.Config(_nothing, log_config=None), ServerState(), {})
        protocol.seen, wire = [], Wire()
        protocol.connection_made(wire)
        protocol.data_received(data)
        protocol.watch.stop()
        waits = protocol.whole and protocol.watch.phase is Phase.IDLE
        return protocol.seen, wire.said, protocol.body if waits else None

    return asyncio.run(one())


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """No application is reached here."""
