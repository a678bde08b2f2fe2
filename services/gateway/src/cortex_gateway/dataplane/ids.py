"""Ids of requests and traces that begin here: random, from a generator of this process that the system has seeded.

Not from the system for each: nobody is kept out by such an id, and a call of the system costs as much as all the rest.
"""

import random
import time
from typing import Final

_VERSION: Final = 0x7 << 12
_VARIANT: Final = 0b10 << 62
_NEITHER_ZERO: Final = 1 << 64 | 1


class Ids:
    """Made once a process, after it was forked: two must not go on with the same numbers."""

    def __init__(self) -> None:
        seed = random.SystemRandom().getrandbits(256)
        self._bits = random.Random(seed).getrandbits  # noqa: S311 - see the module

    def span(self) -> int:
        """64 bits, and not zero."""
        return self._bits(64) or 1

    def place(self) -> int:
        """128 bits of a trace, of which the lower ones decide whether it is sampled, and 64 of a span; neither is
        zero."""
        return self._bits(192) | _NEITHER_ZERO

    def request(self) -> bytes:
        """`req_` and a UUIDv7 (RFC 9562), as `kernel.new_id` makes them: it sorts by time."""
        ticks = (time.time_ns() << 12) // 1_000_000  # 4096 in a millisecond
        upper = (ticks >> 12) << 16 | _VERSION | ticks & 0xFFF
        return b"req_%032x" % (upper << 64 | _VARIANT | self._bits(62))
