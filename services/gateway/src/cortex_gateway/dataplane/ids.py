"""Ids of requests and traces that begin here: random, from a generator of this process that the system has seeded.

Not from the system for each: nobody is kept out by such an id, and a call of the system costs as much as all the rest.
"""

import random
import time
from typing import Final

_RANDOM_62: Final = (1 << 62) - 1
_VARIANT: Final = 0b10 << 62


class Ids:
    """Made once a process, after it was forked: two must not go on with the same numbers."""

    def __init__(self) -> None:
        seed = random.SystemRandom().getrandbits(256)
        self._bits = random.Random(seed).getrandbits  # noqa: S311 - see the module

    def span(self) -> bytes:
        """16 hexadecimal digits."""
        return b"%016x" % (self._bits(64) or 1)

    def trace(self) -> int:
        """128 bits, of which the lower ones decide whether the trace is sampled."""
        return self._bits(128) or 1

    def request(self) -> bytes:
        """`req_` and a UUIDv7 (RFC 9562), as `kernel.new_id` makes them: it sorts by time."""
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        fraction = rest * 4096 // 1_000_000
        return b"req_%012x7%03x%016x" % (milliseconds, fraction, _VARIANT | (self._bits(64) & _RANDOM_62))
