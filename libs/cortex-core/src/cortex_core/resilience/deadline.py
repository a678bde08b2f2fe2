"""Deadlines: how long somebody still waits for this work, here and across hops.

A deadline is a reading of this process's monotonic clock and lies in the kernel's context. On the wire it is the time
that is left, since clocks of two machines do not compare: `X-Request-Deadline` in whole milliseconds, or gRPC's
`grpc-timeout` (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Timeout"). What is written is rounded
down: nobody is promised more than there is. What is read never raises; what makes no sense is no deadline.
"""

import re
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import Kind
from cortex_core.resilience.refusal import Refusal

_MILLISECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_MOST_MILLISECONDS: Final = 999_999_999
_GRPC: Final = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)
_GRPC_MOST: Final = 99_999_999
_NANOSECONDS: Final = {  # of a unit, the finest first
    "n": 1,
    "u": 1_000,
    "m": 1_000_000,
    "S": 1_000_000_000,
    "M": 60_000_000_000,
    "H": 3_600_000_000_000,
}
_SYSTEM: Final = SystemClock()


class DeadlineExceeded(Refusal, TimeoutError):
    """Whoever waited for this has left. `attempted` is False where the work had not begun."""

    code, kind = "deadline.exceeded", Kind.TIMEOUT


def remaining(clock: Clock = _SYSTEM) -> float | None:
    """Seconds (≥ 0) until the context's deadline; None: there is none."""
    deadline = current().deadline
    return None if deadline is None else max(0.0, deadline - clock.monotonic())


def check_deadline(clock: Clock = _SYSTEM) -> None:
    """Before work that nobody may want any more. Raises DeadlineExceeded once the context's deadline has passed."""
    if remaining(clock) == 0.0:
        raise DeadlineExceeded("the deadline had passed before this began")


def write_deadline(clock: Clock = _SYSTEM) -> str | None:
    """The context's deadline as a value of `X-Request-Deadline`; None: there is none."""
    left = remaining(clock)
    return None if left is None else str(int(min(left * 1000, _MOST_MILLISECONDS)))


def read_deadline(value: str | bytes | None, clock: Clock = _SYSTEM) -> float | None:
    """The deadline that a value of `X-Request-Deadline` means, for `use_context(deadline=…)`; None for anything but one
    to nine digits."""
    match = _MILLISECONDS.fullmatch(_text(value))
    return None if match is None else clock.monotonic() + int(match[0]) / 1000


def write_grpc_timeout(clock: Clock = _SYSTEM) -> str | None:
    """The context's deadline as a value of `grpc-timeout`, in the finest unit that eight digits hold; None: there is
    none. The protocol has no zero: a deadline that has passed is `1n`."""
    left = remaining(clock)
    if left is None:
        return None
    nanoseconds = max(1, min(int(min(left, 1e12) * 1e9), _GRPC_MOST * _NANOSECONDS["H"]))
    unit, size = next((unit, size) for unit, size in _NANOSECONDS.items() if nanoseconds // size <= _GRPC_MOST)
    return f"{nanoseconds // size}{unit}"


def read_grpc_timeout(value: str | bytes | None, clock: Clock = _SYSTEM) -> float | None:
    """The deadline that a value of `grpc-timeout` means; None for what is none."""
    match = _GRPC.fullmatch(_text(value))
    return None if match is None else clock.monotonic() + int(match[1]) * _NANOSECONDS[match[2]] / 1e9


def _text(value: str | bytes | None) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""
