"""Ids of requests and traces that begin here: random, from a generator of this process that the system has seeded.

Not from the system for each: nobody is kept out by such an id, and a call of the system costs as much as all the rest.
"""

import random
import time
from typing import Final

_VERSION: Final = 0x7 << 12
_AT_ONCE: Final = 64  # ids that are drawn together: to write one long number costs little more than a short one
_NEITHER_ZERO: Final = sum((1 << 64 | 1) << 192 * each for each in range(_AT_ONCE))
_RANDOM: Final = sum(((1 << 62) - 1) << 64 * each for each in range(_AT_ONCE))
_VARIANT: Final = sum((0b10 << 62) << 64 * each for each in range(_AT_ONCE))


class Ids:
    """Made once a process, after it was forked: two must not go on with the same numbers."""

    def __init__(self) -> None:
        seed = random.SystemRandom().getrandbits(256)
        self._bits = random.Random(seed).getrandbits  # noqa: S311 - see the module
        self._places: list[str] = []
        self._halves: list[bytes] = []

    def span(self) -> int:
        """64 bits, and not zero."""
        return self._bits(64) or 1

    def place(self) -> str:
        """A trace's id and a span's, in 32 and 16 hexadecimal digits; neither is zero. The lower half of the former
        decides whether it is sampled."""
        if not self._places:
            digits = f"{self._bits(192 * _AT_ONCE) | _NEITHER_ZERO:0{48 * _AT_ONCE}x}"
            self._places = [digits[at : at + 48] for at in range(0, len(digits), 48)]
        return self._places.pop()

    def request(self) -> bytes:
        """`req_` and a UUIDv7 (RFC 9562), as `kernel.new_id` makes them: it sorts by time."""
        if not self._halves:
            digits = b"%0*x" % (16 * _AT_ONCE, self._bits(64 * _AT_ONCE) & _RANDOM | _VARIANT)
            self._halves = [digits[at : at + 16] for at in range(0, len(digits), 16)]
        ticks = (time.time_ns() << 12) // 1_000_000  # 4096 in a millisecond
        return b"req_%016x%b" % ((ticks >> 12) << 16 | _VERSION | ticks & 0xFFF, self._halves.pop())
