"""Back-pressure, as uvicorn has it, with the watch told of it: a client that we keep waiting is not slow."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl

from cortex_core.chassis.http_protocol.watch import Watch

_OFF_AT_ONCE: Final = struct.pack("ii", 1, 0)


class WatchedFlow(FlowControl):
    def __init__(self, transport: asyncio.Transport, watch: Watch) -> None:
        super().__init__(transport)
        self._watch = watch

    def pause_reading(self) -> None:
        self._watch.hold()
        super().pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self._watch.go_on()
            super().resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch.not_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch.taking()


def untaken(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken yet: those that wait here, and on Linux those that wait in its kernel, which
    would let a slow reader look like none for megabytes."""
    waiting = transport.get_write_buffer_size()
    own: Any = transport.get_extra_info("socket")
    if sys.platform != "linux" or own is None:
        return waiting
    try:
        queued = fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except OSError:  # it has just ended
        return waiting
    return waiting + int.from_bytes(queued, sys.byteorder)


def break_off(transport: asyncio.Transport) -> None:
    """Ends the connection so that what was sent cannot look whole: by a reset."""
    own: Any = transport.get_extra_info("socket")
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _OFF_AT_ONCE)
    transport.abort()
