"""Waiting for what is held back: until nothing moves any more."""

import asyncio
from collections.abc import Callable

_LOOKS = 20  # in a row at which a count must be the same
_PAUSE = 0.01


async def at_a_standstill(count: Callable[[], int]) -> int:
    """What `count` comes to."""
    same, before = 0, count()
    while same < _LOOKS:
        await asyncio.sleep(_PAUSE)
        now = count()
        same, before = (same + 1, before) if now == before else (0, now)
    return before
