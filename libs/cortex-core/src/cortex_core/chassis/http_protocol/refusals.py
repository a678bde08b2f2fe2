"""What is answered where a guard refuses: problem+json under a stable code, on a connection that then ends.

Owns the list of these codes (docs/blocks/server-guards.md repeats it, a test compares). Knows no metric and no log:
`OnRefusal` hears of every refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cortex_core.asgi.problems import STATUS, Answered, phrase_of, problem
from cortex_core.kernel.errors import CortexError
from cortex_core.kernel.ids import new_id

CODES: Final[dict[str, int]] = {
    "http.bad-request": 400,
    "http.bad-host": 400,
    "http.bad-target": 400,
    "http.bad-framing": 400,
    "http.bad-upgrade": 400,
    "http.upgrade-refused": 403,
    "http.head-timeout": 408,
    "http.body-timeout": 408,
    "http.target-too-long": 414,
    "http.expectation-failed": 417,
    "http.host-not-served": 421,
    "http.too-many-pipelined": 429,
    "http.head-too-large": 431,
    "http.too-many-headers": 431,
    "http.method-not-implemented": 501,
    "http.coding-not-implemented": 501,
    "http.too-many-connections": 503,
    "http.upgrade-timeout": 503,
    "http.version-not-supported": 505,
}
SILENT: Final = "http.silent"
STALLED: Final = "http.answer-not-read"
LEFT_OVER: Final = "http.body-not-wanted"
BAD_FRAMES: Final = "http.bad-frames"
CUT: Final = (SILENT, STALLED, LEFT_OVER, BAD_FRAMES)
"""Reasons for which a connection just ends: nothing was asked, or nothing more can be said. A WebSocket has a code."""

_SHOWN: Final = 256

FIELDS: Final = (
    (b"connection", b"close"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
"""What every answer to what is refused says, beside its problem and its request id."""


class Refusal(Answered):
    """Why a request, or a connection, goes no further. `code` is one of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(CODES[code], code, message)


@dataclass(frozen=True, slots=True)
class RefusalDetails:
    """What happened. `reason` is a code of CODES or of CUT; `status` 0 where there was no answer. `client` is the
    peer's address as the socket has it, `request_id` what the answer said."""

    reason: str
    status: int
    detail: str
    client: str
    request_id: str


class OnRefusal(Protocol):
    """A hook. What it raises is logged and changes nothing."""

    def __call__(self, details: RefusalDetails, /) -> None: ...


def answer_to(
    error: CortexError, path: str, defaults: Sequence[tuple[bytes, bytes]], *, head_only: bool = False
) -> tuple[bytes, str]:
    """The whole answer as bytes, and the request id in it: a new one, as what a refused request says of itself is not
    believed. `head_only`: to a HEAD."""
    request_id = new_id("req")
    status, fields, body = problem(error, path)
    parts = [b"HTTP/1.1 %d %s\r\n" % (status, phrase_of(status).encode())]
    parts += [b"%s: %s\r\n" % field for field in (*defaults, *fields, (b"x-request-id", request_id.encode()), *FIELDS)]
    parts.append(b"\r\n")
    return b"".join(parts if head_only else [*parts, body]), request_id


def status_of(error: CortexError) -> int:
    return error.status if isinstance(error, Answered) else STATUS[error.kind]


def path_of(target: bytes | None) -> str:
    """For the problem's `instance`: what was asked for, as far as it came."""
    return (target or b"").partition(b"?")[0].decode("ascii", "replace")[:_SHOWN]
