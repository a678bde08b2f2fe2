"""Which keys have ended, asked of the store itself: an event that says so may be missed, and no memo must outlive it.

Owns the bound: what an event told nobody is known here within `every` seconds, while the store answers. While it does
not, nobody can look a key up either, and what is remembered of one ends by itself (within a minute: `memo`).
"""

from collections.abc import Callable
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.security.api_keys.store import ApiKeys, KeysUnavailable

EVERY: Final = 5.0


class Endings:
    """Asks while `run` runs, and tells `forget` the ids. The same id may be told several times."""

    def __init__(
        self, keys: ApiKeys, forget: Callable[[str], object], *, every: float = EVERY, clock: Clock | None = None
    ) -> None:
        self._keys = keys
        self._forget = forget
        self._every = every
        self._clock = clock or SystemClock()
        self._at = 0

    async def run(self) -> None:
        while True:
            await self.ask()
            await self._clock.sleep(self._every)

    async def ask(self) -> None:
        """Once. Where the store does not answer, the next time asks for all since the last that did."""
        try:
            ended = await self._keys.ended_since(self._at)
        except KeysUnavailable:
            return
        self._at = ended.at
        for key_id in ended.key_ids:
            self._forget(key_id)
