"""A request as it is written: the head's beginning and end, which only its connection and its attempt know."""

from functools import lru_cache
from typing import Final

from cortex_core.resilience import format_retry_budget
from cortex_gateway.ports import Departure

_NO_CONTENT_LENGTH: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"})  # where there is no body
_MOST_MILLISECONDS: Final = 999_999_999


def write_request(departure: Departure, host_line: bytes, left: float, budget: float | None, body: bytes) -> bytes:
    """Its head, and `body`: what there is of it, framed. `left`: seconds that the service has; `budget`: what it may
    spend on retries. Both are said as `chassis.outgoing_headers` says them."""
    if departure.deadline is None and not departure.length and departure.length is not None:
        end = _end_of_bare(departure.method in _NO_CONTENT_LENGTH, left, departure.streams, budget)
    else:
        end = _limits(departure, left) + (b"" if budget is None else _budget_line(budget)) + _framing(departure)
    return b"".join((departure.method, b" ", departure.target, host_line, departure.fields, end, body))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _limits(departure: Departure, left: float) -> bytes:
    if departure.deadline is not None:
        return b"X-Request-Deadline: %d\r\n" % int(min(left * 1000, _MOST_MILLISECONDS))
    return b"" if departure.streams else _deadline_line(left)


@lru_cache(maxsize=256)
def _end_of_bare(unsaid: bool, left: float, streams: bool, budget: float | None) -> bytes:
    """Of a head without a body behind it, whose time is its route's: there are few. `unsaid`: no length is nothing."""
    deadline = b"" if streams else _deadline_line(left)
    return (
        deadline
        + (b"" if budget is None else _budget_line(budget))
        + (b"\r\n" if unsaid else b"Content-Length: 0\r\n\r\n")
    )


@lru_cache(maxsize=64)
def _deadline_line(timeout: float) -> bytes:
    """A route's own: there are few."""
    return b"X-Request-Deadline: %d\r\n" % int(timeout * 1000)


@lru_cache(maxsize=1024)
def _budget_line(tokens: float) -> bytes:
    return b"X-Retry-Budget: %b\r\n" % format_retry_budget(tokens).encode("ascii")


def _framing(departure: Departure) -> bytes:
    if departure.length is None:
        return b"Transfer-Encoding: chunked\r\n\r\n"
    if departure.length == 0 and departure.method in _NO_CONTENT_LENGTH:
        return b"\r\n"
    return b"Content-Length: %d\r\n\r\n" % departure.length
