"""What came over a connection and is not data of a body: counted, so that it is bounded.

Owns the bytes of a head that is not complete, and the count of what surrounds a body's chunks. llhttp bounds neither.
"""

from collections.abc import Sequence
from typing import Final

from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.http_protocol.refusals import Refusal

_HEAD_END: Final = b"\r\n\r\n"
_CHUNK_COST: Final = 16  # bytes that a chunk may cost beside its data, as Go's net/http counts
_NEWLINE: Final = b"\r\n"

SOMEWHERE, AT_BEGUN, AT_DATA = range(3)
"""Where the head at hand begins: behind something else; with what is kept of it; with the data."""


class Received:
    """`data` is what is being parsed, `body` how many of its bytes were a body's, `chunks` how many chunks began."""

    __slots__ = ("_limits", "_overhead", "begins", "begun", "body", "chunks", "data")

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._overhead = 0
        self.data = b""
        self.begun = bytearray()  # of a head that is not complete, what came with earlier data
        self.begins = AT_DATA
        self.body = 0
        self.chunks = 0

    def check_head(self, line: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """For a head that did not come alone and in one piece: its first line must be there as it has to be. llhttp
        takes several blanks for one, RTSP for HTTP, and skips any newlines before it. Raises Refusal."""
        whole = bytes(self.begun) + self.data
        at = whole.find(line)
        before = whole[: max(at, 0)]
        odd_newlines = self.begins != SOMEWHERE and not before.strip(_NEWLINE) and before.replace(_NEWLINE, b"")
        if at < 0 or odd_newlines:
            raise Refusal("http.bad-request", "the request line is not as RFC 9112, section 3, has it")
        if len(whole) > self._limits.head_size:
            self._check_size(len(line) + sum(len(name) + len(value) + 4 for name, value in headers) + 2)
        self.begun.clear()

    def head_goes_on(self, target: bytes | None) -> None:
        """The data ended within a head, or before it. Raises Refusal where that is too large already."""
        data = self.data
        if not self.begun and data.strip(_NEWLINE):  # it begins behind what came before: a body, another head's end
            data = data[max(data.rfind(_HEAD_END) + len(_HEAD_END) if _HEAD_END in data else 0, self.body) :]
        self.begun += data
        self.begins = min(self.begins, AT_BEGUN)
        if target and len(target) > self._limits.target_size:
            raise Refusal("http.target-too-long", f"a target has at most {self._limits.target_size} bytes")
        self._check_size(len(self.begun))

    def chunks_begin(self, line: bytes) -> None:
        """A chunked body comes after the head that begins with `line` and whose end is in the data."""
        end = self.data.find(_HEAD_END, max(self.data.find(line), 0))
        after = len(self.data) - end - len(_HEAD_END) if end >= 0 else 0
        self._overhead = after + self.body
        self.chunks = 0

    def chunks_go_on(self, *, first: bool) -> None:
        """The data ended within a chunked body. Raises Refusal where too much of it was no body."""
        if not first:
            self._overhead += len(self.data)
        self._overhead = max(self._overhead - self.body - self.chunks * _CHUNK_COST, 0)
        if self._overhead > self._limits.chunk_overhead:
            raise Refusal("http.bad-framing", "there is more around the chunks than in them")

    def _check_size(self, size: int) -> None:
        if size > self._limits.head_size:
            raise Refusal("http.head-too-large", f"a request's head has at most {self._limits.head_size} bytes")
