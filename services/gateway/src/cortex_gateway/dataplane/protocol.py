"""The connection's two lanes: what is usual is answered here, all else by the application (`super().dispatch()`).

Refuses to refuse: whoever may not pass, or asks for something odd, is the application's, so that there is one place for
that. Only what is decided after the limit was counted is answered here (429, 413, 503, 504), with the same problems.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

from cortex_core.asgi.http_cache import Filling
from cortex_core.chassis.http_protocol import HttpProtocol
from cortex_core.chassis.http_protocol.heads import BARE
from cortex_core.chassis.http_protocol.watch import Phase
from cortex_core.kernel import Principal
from cortex_gateway.dataplane.at_once import answer
from cortex_gateway.dataplane.dues import Dues
from cortex_gateway.dataplane.passage import Passage
from cortex_gateway.dataplane.plane import DataPlane, Fields, HotAnswer
from cortex_gateway.dataplane.prepared import LONGEST, Budget, Prepared, Remembered
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.table import Entry

BUSY: Final = Phase.BUSY
IDLE: Final = Phase.IDLE


class ExpressProtocol(HttpProtocol):
    """`application` is the one whose `state.data_plane` holds the parts; without them every request is the
    application's. `budget` is what all connections may remember."""

    application: ClassVar[Any] = None
    budget: ClassVar[Budget] = Budget()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.plane: DataPlane | None = None
        self.passage: Passage | None = None  # which is under way
        self.feeding: Passage | None = None  # whose body is being read
        self._last: Reading | None = None
        self._known = Remembered(self.budget)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.plane = getattr(self.application.state, "data_plane", None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._known.forget()
        if self.passage is not None:
            self.passage.left()
            self.passage = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.watch.phase is IDLE:
            request, body = self._known.find(data) if len(data) <= LONGEST else None, b""
            remember = None
            if request is None:
                if (found := self._known.with_body(data)) is not None:
                    request, body = found
                elif (request := self._like_the_last(data)) is not None:
                    remember = partial(self._known.add, data, request)
            if request is not None and self._repeated(request, body, remember):
                return
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

    # A head that was read before

    def _like_the_last(self, data: bytes) -> Prepared | None:
        """The same client, asking for something else in the same words."""
        line, plane = self._known.line(data), self.plane
        if line is None or plane is None or len(line[1]) > self.limits.target_size or len(data) > self.limits.head_size:
            return None
        return self._prepare(plane, line[0], line[1], self._known.headers)

    def _repeated(self, request: Prepared, body: bytes, remember: Callable[[], None] | None) -> bool:
        """What `super().data_received` comes to for it and all of its body, without parsing. Whether it was answered
        here; nothing has happened where it was not."""
        plane = self.plane
        if plane is None or plane.drain.begun or self.flow.write_paused:
            return False
        epoch = plane.epoch
        if request.generation != epoch.generation or request.until <= epoch.monotonic():
            self._known.forget()  # who asks has to be asked for: it is read anew
            return False
        hot = filling = None
        if request.kept:
            hot, filling = self._kept(plane, request)
            if hot is None and filling is None:
                return False
        self.method, self.url, self.keep_alive = request.entry.method, request.target, True
        self.watch.phase = BUSY
        self._answer_to(plane, request, hot, filling, body, remember=remember)
        return True

    def _answer_to(
        self,
        plane: DataPlane,
        request: Prepared,
        hot: HotAnswer | None,
        filling: Filling | None,
        body: bytes = b"",
        *,
        remember: Callable[[], None] | None = None,
        old: bool = False,
    ) -> None:
        """`body` is all of it, unless it comes by `deliver` and `delivered`. `remember` is called once it may pass: who
        is refused takes no memory."""
        dues, local = request.dues, request.entry.local
        decision = None if dues is None else dues.spent()
        let_in = dues is None or (decision is not None and decision.allowed)
        if let_in and remember is not None:
            remember()
        if local is not None and let_in:
            limits = b"" if dues is None or decision is None else dues.fields(decision, plane.now())
            return answer(self, plane, request, local, limits)
        passage = Passage(self, plane, request, hot, filling)
        if decision is None and not let_in:
            passage.on_let_in = remember
        if old or not self.keep_alive or request.reading.expects:
            passage.old = old
            passage.keep_alive = self.keep_alive
            passage.waiting_for_100_continue = request.reading.expects and not old
        if body:
            passage.holds(body)
        self.cycle: Any = passage
        self.passage = self.feeding = passage
        return passage.start(dues, decision)

    # A head that was read now

    def _express(self, plane: DataPlane) -> bool:
        """Whether the request is answered here. Nothing has happened where it is not."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False  # one after the other: uvicorn's queue has the order of answers
        if self.flow.write_paused:
            return False  # its client does not take what it asked for: the application waits until it does
        request = self._prepare(plane, self.method, self.url, self.headers)
        if request is None:
            return False
        old = self.scope["http_version"] != "1.1"
        remember = self._to_remember(request) if self.head_is_all and self.keep_alive and not old else None
        hot = filling = None
        if request.kept:
            hot, filling = self._kept(plane, request)
            if hot is None and filling is None:
                return False
        self._answer_to(plane, request, hot, filling, remember=remember, old=old)
        return True

    def _to_remember(self, request: Prepared) -> Callable[[], None] | None:
        framing, data = self.framing, self.received.data
        if framing is BARE:
            return partial(self._known.keep, data, request, self.headers)
        if framing.length is not None and not framing.expects_continue:
            return partial(self._known.keep_with_body, data, request)
        return None

    def _prepare(self, plane: DataPlane, method: bytes, target: bytes, headers: Fields) -> Prepared | None:
        """None: it is the application's."""
        entry = plane.table.find(method, target)
        reading = None if entry is None else self._read(plane, headers)
        if entry is None or reading is None or not _is_usual(entry, reading):
            return None
        generation, known = plane.epoch.generation, plane.recall(headers)
        if known is None or not entry.open_to(known[0]):
            return None
        dues = self._dues(plane, entry, reading, target, known[0])
        return Prepared(entry, reading, target, known, generation, dues)

    def _kept(self, plane: DataPlane, request: Prepared) -> tuple[HotAnswer | None, Filling | None]:
        """What is kept of its answer, or the way to it; neither: it is the application's."""
        entry, headers = request.entry, request.reading.headers
        hot = plane.find_hot(entry, request.target, request.principal, headers)
        if hot is not None or plane.fills is None:
            return hot, None
        return None, plane.fills.begin(entry, request.target, request.principal, request.reading, headers)

    def _read(self, plane: DataPlane, headers: Fields) -> Reading | None:
        """Clients send the same headers again and again: those of the last request are not read twice."""
        last = self._last
        if last is not None and last.headers == headers:
            return last
        self._last = plane.reader.read(headers, scheme=self.scheme or "http", client=self.client)
        return self._last

    def _dues(
        self, plane: DataPlane, entry: Entry, reading: Reading, target: bytes, principal: Principal
    ) -> Dues | None:
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
            "path": target.partition(b"?")[0].decode("ascii"),
            "headers": reading.headers,
            "client": self.client,
        }
        dues = gate.dues(scope, principal)
        reading.dues[entry] = (principal, dues)
        return dues


def _is_usual(entry: Entry, reading: Reading) -> bool:
    has_body = reading.chunked or reading.length > 0
    if reading.left == 0 or reading.refuses_identity:
        return False
    if reading.page and not entry.safe:
        return False
    if entry.route is None:
        return not has_body
    if entry.safe and (has_body or (reading.conditional and entry.route.caching is None)):
        return False
    return reading.length <= entry.route.body_limit
