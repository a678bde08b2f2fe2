"""Identifiers that sort by their birth: UUIDv7 (RFC 9562) as text, behind a prefix that says of what."""

import os
import time
import uuid

_last = 0  # the newest 60-bit time part handed out: ids of one process never go back, within a millisecond either


def uuid7() -> uuid.UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 12 of their fraction (method 3), 62 random."""
    global _last  # noqa: PLW0603 - the one place where monotonicity within this process is kept
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    _last = max((milliseconds << 12) | (rest * 4096 // 1_000_000), _last + 1)
    high = ((_last >> 12) << 16) | 0x7000 | (_last & 0xFFF)
    low = (0b10 << 62) | (int.from_bytes(os.urandom(8)) >> 2)
    return uuid.UUID(int=(high << 64) | low)


def new_id(prefix: str) -> str:
    """`ord_0192f5c0…`: the prefix and a UUIDv7 as 32 hexadecimal digits. Sorts by time of creation."""
    return f"{prefix}_{uuid7().hex}"
