"""How a connection ends: refusals in their turn, deadlines that have passed, and what is told of it.

Owns the rule that what was sent before is answered before, and that nothing which breaks off looks whole.
"""

import logging
from typing import Any, ClassVar, Final

import httptools

from cortex_core.chassis.http_protocol.application import ToApplication
from cortex_core.chassis.http_protocol.flow import break_off, untaken
from cortex_core.chassis.http_protocol.received import Received
from cortex_core.chassis.http_protocol.refusals import (
    LEFT_OVER,
    SILENT,
    STALLED,
    OnRefusal,
    Refusal,
    RefusalDetails,
    answer_to,
    path_of,
    status_of,
)
from cortex_core.chassis.http_protocol.watch import Phase, Watch
from cortex_core.kernel.errors import CortexError

_log = logging.getLogger(__name__)

HEAD, BODY, OVER, LINGERING = Phase.HEAD, Phase.BODY, Phase.OVER, Phase.LINGERING
_BAD_VERSION: Final = "Invalid HTTP version"  # llhttp's words


class Ending(ToApplication):
    """Implements `watch.Watched`."""

    on_refused: ClassVar[OnRefusal | None] = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url = b""
        self.watch = Watch(self, self.loop, self.limits)
        self.received = Received(self.limits)
        self._leftover = 0
        self._refusal: CortexError | None = None  # to be answered in its turn

    def refuse(self, error: CortexError) -> None:
        """Nothing more is read from this connection. `error` is answered in its turn, if that can be; then it ends."""
        within_body = self.watch.phase is BODY
        self.watch.phase = OVER
        cycle = self.cycle
        if not within_body:
            if self._owes_answers():
                self._refusal = error
            else:
                self._answer(error)
        elif self.pipeline and self.pipeline[0][0] is cycle:  # its turn has not come, and will not
            self.pipeline.popleft()
            self._refusal = error
        elif cycle.response_complete:
            self._tell(error.code, error.message)
            self.transport.close()
        elif cycle.response_started:
            self._tell(error.code, error.message)
            self.abandon()
            break_off(self.transport)
        else:
            self.abandon()
            self._answer(error)

    def _owes_answers(self) -> bool:
        cycle: Any = self.cycle  # None before the first
        return bool(self.pipeline) or not (cycle is None or cycle.response_complete)

    def _answer(self, error: CortexError) -> None:
        if self.transport.is_closing():
            return
        data, request_id = answer_to(
            error, path_of(self.url), self.server_state.default_headers, head_only=self.method == b"HEAD"
        )
        self.transport.write(data)
        self.transport.write_eof()  # and no more than that: closing now could take the answer away (RFC 9112, 9.6)
        self.watch.linger()
        self.flow.resume_reading()
        self._tell(error.code, error.message, status_of(error), request_id)

    def _tell(self, reason: str, detail: str, status: int = 0, request_id: str = "") -> None:
        if self.on_refused is None:
            return
        client = self.client[0] if self.client else ""
        try:
            self.on_refused(RefusalDetails(reason, status, detail, client, request_id))
        except Exception:  # noqa: BLE001 - a listener's mistake must not keep a connection open
            _log.exception("a refusal hook failed")

    # --- for the watch ----------------------------------------------------------------------------------------------

    def unanswered(self, phase: Phase) -> None:
        if phase is BODY:
            self.refuse(Refusal("http.body-timeout", "the body came too slowly"))
        elif phase is HEAD and self.received.begun:
            self.refuse(Refusal("http.head-timeout", f"a head has {self.limits.head_timeout:g} seconds"))
        elif phase is LINGERING:
            self.transport.abort()
        else:
            if phase is HEAD:
                self._tell(SILENT, "nothing was asked")
            self.transport.close()

    def unread(self) -> None:
        self._tell(STALLED, "the answer is not taken")
        self.transport.abort()

    def unsent(self) -> int | None:
        if self.flow.write_paused or self.transport.is_closing():
            return untaken(self.transport)
        return None

    def patient(self) -> bool:
        cycle: Any = self.cycle  # None before the first
        return cycle is not None and cycle.waiting_for_100_continue and not cycle.response_complete

    # --- what is not looked at, and what could not be read ----------------------------------------------------------

    def _dropped(self, size: int) -> None:
        """Some of what nobody reads is taken, so that who sends it gets to our answer. Beyond that nothing more is: who
        has been answered may read that for a while (a reset now would take it away: RFC 9112, section 9.6)."""
        self._leftover += size
        if self._leftover <= self.limits.leftover or self.transport.is_closing():
            return
        self._tell(LEFT_OVER, "more than anybody reads")
        if self._owes_answers():
            self.transport.abort()
            return
        self.transport.pause_reading()
        if self.watch.phase is not LINGERING:
            self.transport.write_eof()
            self.watch.linger()

    def _unparsed(self, error: httptools.HttpParserError) -> None:
        phase = self.watch.phase
        if phase >= OVER:
            return None  # what comes after the last request is not answered
        cause = error.__context__
        if isinstance(cause, Refusal):
            return self.refuse(cause)
        if isinstance(error, httptools.HttpParserCallbackError):
            _log.error("a connection failed", exc_info=cause)
            return self.refuse(CortexError("something went wrong here; the log has the story"))
        reason = str(error)
        if reason == _BAD_VERSION:
            return self.refuse(Refusal("http.version-not-supported", reason))
        about_framing = phase is BODY or "Content-Length" in reason or "Transfer-Encoding" in reason
        return self.refuse(Refusal("http.bad-framing" if about_framing else "http.bad-request", reason))
