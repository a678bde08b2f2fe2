"""What `local.py` has to say, answered in one go: nothing is waited for, so nothing is kept of the request.

Owns the bytes of such an answer. Says and leaves behind what a `Passage` would (test_lanes.py, test_local_answers.py).
Refuses to judge: who may pass has been decided, and `limits` are the lines that tell of it.
"""

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cortex_gateway.dataplane.heads import STATUS_LINES
from cortex_gateway.dataplane.local import Local
from cortex_gateway.dataplane.plane import DataPlane
from cortex_gateway.dataplane.prepared import Prepared
from cortex_gateway.dataplane.records import Ended
from cortex_gateway.dataplane.table import Entry

if TYPE_CHECKING:
    from cortex_gateway.dataplane.protocol import ExpressProtocol

_READY: Final = "ready"  # in an entry's memo
_END: Final = b"\r\n\r\n"
_LAST: Final = b"\r\nconnection: close\r\n\r\n"


class _Ready(NamedTuple):
    """All of an answer that is the same for a second."""

    said: bytes
    date: bytes
    head: bytes
    body: bytes


class _Answered:
    """What uvicorn calls a cycle, at its end: nothing of it changes any more, so that there is one for all."""

    response_started = response_complete = True
    disconnected = waiting_for_100_continue = False
    keep_alive = True

    @property
    def message_event(self) -> "_Answered":
        return self

    def set(self) -> None:
        """Nobody waits for messages here."""


ANSWERED: Final[Any] = _Answered()


def answer(connection: "ExpressProtocol", plane: DataPlane, request: Prepared, local: Local, limits: bytes) -> None:
    """Writes and records it. The request has no body."""
    entry, reading, principal = request.entry, request.reading, request.principal
    began = time.perf_counter()
    records, transport = plane.records, connection.transport
    said, date = local.body(), plane.heads.date(plane.now())
    ready: _Ready | None = entry.memo.get(_READY)
    if ready is None or ready.said is not said or ready.date is not date:
        ready = entry.memo[_READY] = _made_ready(plane, entry, said, date)
    request_id = reading.request_id or records.ids.request()
    keep_alive = connection.keep_alive
    trace = records.begin(entry, reading.trace)
    last = _END if keep_alive else _LAST
    transport.write(b"".join((ready.head, limits, b"x-request-id: ", request_id, last, ready.body)))
    connection.cycle = ANSWERED
    if not keep_alive:
        transport.close()
    seconds = time.perf_counter() - began
    records.ended(entry, trace, Ended(200, seconds, len(ready.body), True, entry.template, principal, request_id))
    connection.on_response_complete()


def _made_ready(plane: DataPlane, entry: Entry, said: bytes, date: bytes) -> _Ready:
    fields = b"%bcontent-length: %d\r\n%b" % (plane.local_fields, len(said), plane.heads.security)
    head = b"".join((STATUS_LINES[200], date, fields, plane.everywhere))
    return _Ready(said, date, head, b"" if entry.head else said)
