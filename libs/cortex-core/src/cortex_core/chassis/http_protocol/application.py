"""The way from a connection to the application: what is done with a request that has passed the guards.

Owns the start of the ASGI application for a request, and what it is given of the body. Refuses to judge: `protocol.py`
has done so.
"""

import asyncio
from typing import Any, ClassVar
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from cortex_core.asgi.problems import phrase_of
from cortex_core.chassis.http_protocol.heads import BARE, Framing
from cortex_core.chassis.http_protocol.http_10 import OldCycle
from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.http_protocol.refusals import Refusal

# What uvicorn writes before an application's headers: the names that problems have, too.
STATUS_LINE.update({status: b"HTTP/1.1 %d %b\r\n" % (status, phrase_of(status).encode()) for status in STATUS_LINE})


class ToApplication(HttpToolsProtocol):
    """In `dispatch` and after it, what the request's head said is in `method`, `url` (the target, in origin form),
    `headers` (names in lower case), `framing`, `keep_alive` (whether the connection may go on), `scope`."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    method: bytes = b""
    framing: Framing = BARE
    keep_alive: bool = True
    under_way: Any = None  # the cycle that is being answered: with pipelining `cycle` is the last one that waits

    def dispatch(self) -> None:
        """A request's head is complete and has passed the guards: by default the application is started with it."""
        scope = self.scope
        path, _, query = self.url.partition(b"?")
        text = path.decode("ascii")
        root = self.root_path
        scope["method"] = self.method.decode("ascii")
        scope["path"] = root + (unquote(text) if "%" in text else text)
        scope["raw_path"] = root.encode("ascii") + path if root else path
        scope["query_string"] = query
        before: Any = self.cycle  # None for the first
        begins = before is None or before.response_complete
        if not begins and len(self.pipeline) >= self.limits.pipelined:
            raise Refusal("http.too-many-pipelined", "too many requests wait on this connection")
        made = RequestResponseCycle if scope["http_version"] == "1.1" else OldCycle
        self.cycle = cycle = made(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            self.keep_alive,
            self.on_response_complete,
        )
        if begins:
            self.under_way = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def deliver(self, body: bytes) -> None:
        """The next part of the body of the request that was dispatched last."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def delivered(self) -> None:
        """That request has come to its end."""
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def go_on(self) -> None:
        """With the next request that waits."""
        self.under_way, app = self.pipeline.pop()
        self._start_asgi_task(self.under_way, app)

    def all_left(self) -> None:
        """The client has gone, for every request of its. Those that wait do not begin."""
        self.pipeline.clear()
        cycle = self.under_way
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def abandon(self) -> None:
        """The request that was dispatched last will not come to its end, and its answer has no reader any more."""
        cycle = self.cycle
        cycle.disconnected = True
        cycle.message_event.set()
