"""When each key was last used, told to the store once in a while and never by the request that used it.

Owns what is not written yet: it is bounded, and lost with the process but for what `aclose` still writes. A checked key
is remembered elsewhere for up to a minute, in which its uses are not seen here: so the last use lags by up to `every`
and that minute.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.security.api_keys.store import ApiKeys, KeysUnavailable

_MOST: Final = 10_000  # keys noted between two writes; those beyond are noted when they come again


class UseNotes:
    """Writes every `every` seconds, all in one batch, while `run` runs. `on_error` hears of a batch that was lost."""

    def __init__(
        self,
        keys: ApiKeys,
        *,
        every: float = 60.0,
        clock: Clock | None = None,
        on_error: Callable[[KeysUnavailable], None] | None = None,
    ) -> None:
        self._keys = keys
        self._every = every
        self._clock = clock or SystemClock()
        self._on_error = on_error
        self._pending: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        if key_id in self._pending or len(self._pending) < _MOST:
            self._pending[key_id] = self._clock.now()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._every)
            await self.write()

    async def write(self) -> None:
        """What is noted so far. A batch that cannot be written is given up: the next use is noted again."""
        batch, self._pending = self._pending, {}
        if not batch:
            return
        try:
            await self._keys.note_uses(batch)
        except KeysUnavailable as error:
            if self._on_error is not None:
                self._on_error(error)
