"""The connection's two lanes: what is usual is answered here, all else by the application (`super().dispatch()`).

Refuses to refuse: whoever may not pass, or asks for something odd, is the application's, so that there is one place for
that. Only what is decided after the limit was counted is answered here (429, 413, 503, 504), with the same problems.
"""

from typing import Any, ClassVar

from cortex_core.chassis.http_protocol import HttpProtocol
from cortex_core.kernel import Principal
from cortex_gateway.dataplane.dues import Dues
from cortex_gateway.dataplane.passage import Passage
from cortex_gateway.dataplane.plane import DataPlane
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.table import Entry


class ExpressProtocol(HttpProtocol):
    """`application` is the one whose `state.data_plane` holds the parts; without them every request is the
    application's."""

    application: ClassVar[Any] = None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.plane: DataPlane | None = None
        self.passage: Passage | None = None  # which is under way
        self.feeding: Passage | None = None  # whose body is being read
        self._last: Reading | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.plane = getattr(self.application.state, "data_plane", None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.passage is not None:
            self.passage.left()
            self.passage = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.feeding is not None:
            self.feeding.flush()

    def dispatch(self) -> None:
        self.feeding = None
        plane = self.plane
        if plane is None:
            return super().dispatch()
        if plane.drain.begun or not self._express(plane):
            plane.records.application()
            super().dispatch()

    def deliver(self, body: bytes) -> None:
        if self.feeding is not None:
            self.feeding.deliver(body)
        else:
            super().deliver(body)

    def delivered(self) -> None:
        if self.feeding is not None:
            self.feeding.delivered()
        else:
            super().delivered()

    def abandon(self) -> None:
        if self.feeding is not None:
            self.feeding.left()
            self.passage = None
        else:
            super().abandon()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.passage is not None:
            self.passage.hold_answer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.passage is not None:
            self.passage.go_on_answering()

    def express_complete(self) -> None:
        """The passage under way has been answered."""
        self.passage = None
        self.on_response_complete()

    def _express(self, plane: DataPlane) -> bool:
        """Whether the request is answered here. Nothing has happened where it is not."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False  # one after the other: uvicorn's queue has the order of answers
        if self.flow.write_paused:
            return False  # its client does not take what it asked for: the application waits until it does
        entry = plane.table.find(self.method, self.url)
        reading = None if entry is None else self._read(plane)
        if entry is None or reading is None or not _is_usual(entry, reading):
            return False
        principal, hot, filling = plane.recall(self.headers), None, None
        if principal is None or not entry.open_to(principal):
            return False
        if entry.kept:
            hot = plane.find_hot(entry, self.url, principal, self.headers)
            if hot is None and plane.fills is not None:
                filling = plane.fills.begin(entry, self.url, principal, reading, self.headers)
            if hot is None and filling is None:
                return False
        passage = Passage(self, plane, entry, reading, self.url, principal, hot, filling)
        self.cycle: Any = passage
        self.passage = self.feeding = passage
        passage.start(self._dues(plane, entry, reading, principal))
        return True

    def _read(self, plane: DataPlane) -> Reading | None:
        """Clients send the same headers again and again: those of the last request are not read twice."""
        last = self._last
        if last is not None and last.headers == self.headers:
            return last
        client = self.client[0] if self.client else None
        self._last = plane.reader.read(self.headers, scheme=self.scheme or "http", client=client)
        return self._last

    def _dues(self, plane: DataPlane, entry: Entry, reading: Reading, principal: Principal) -> Dues | None:
        gate = plane.gate
        if gate is None or (entry.local is not None and not entry.local.limited):
            return None
        known = reading.dues.get(entry)
        if known is not None and known[0] is principal:
            dues: Dues | None = known[1]
            return dues
        scope = {
            "type": "http",
            "method": entry.method.decode(),
            "path": self.url.partition(b"?")[0].decode("ascii"),
            "headers": self.headers,
            "client": self.client,
        }
        dues = gate.dues(scope, principal)
        reading.dues[entry] = (principal, dues)
        return dues


def _is_usual(entry: Entry, reading: Reading) -> bool:
    has_body = reading.chunked or reading.length > 0
    if reading.left == 0 or reading.refuses_identity:
        return False
    if entry.route is None:
        return not has_body
    if entry.safe and (has_body or (reading.conditional and entry.route.caching is None)):
        return False
    return reading.length <= entry.route.body_limit
