"""Errors that carry their meaning: a stable code, a kind, and whether trying again can help.

Refuses to know transports: only `asgi/problems.py` turns a kind into an HTTP status.
"""

from enum import StrEnum
from typing import Any, ClassVar


class Kind(StrEnum):
    """What sort of trouble it is. The edge of each protocol translates it once."""

    INVALID = "invalid"  # the request is malformed: it can never succeed as sent
    UNPROCESSABLE = "unprocessable"  # well-formed, but says something that cannot be
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition-failed"
    TOO_LARGE = "too-large"
    UNSUPPORTED_MEDIA = "unsupported-media"
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"  # something needed is not there now
    TIMEOUT = "timeout"  # something needed did not answer in time
    MALFORMED = "malformed"  # something needed answered what is no answer
    INTERNAL = "internal"  # ours: a bug or broken data


_RETRYABLE = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.RATE_LIMITED})


class CortexError(Exception):
    """An error with a meaning. Subclasses set `code` and `kind`; `details` are public and reach the caller.

    `code` is stable and dotted (`order.not-found`). `retryable` says that the same request may succeed later; it
    follows from the kind unless a subclass says otherwise. `retry_after` (seconds), where set, says when. `attempted`
    is False where it is certain that the work never began (refused at the door, no connection): trying again cannot
    do it twice, whatever it was. `awaited` is True where a service that meets it at its start waits for its end, up and
    not ready, instead of ending itself.
    """

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.INTERNAL
    attempted: bool = True
    awaited: bool = False
    retryable: bool

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        attempted: bool | None = None,
        awaited: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.retryable = self.kind in _RETRYABLE if retryable is None else retryable
        if attempted is not None:
            self.attempted = attempted
        if awaited:
            self.awaited = True
