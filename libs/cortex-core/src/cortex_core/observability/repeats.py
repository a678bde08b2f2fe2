"""Repeats: an outage is one story. What is met every second is said once, when it changes, and each minute."""

from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock

AGAIN: Final = 60.0
"""Seconds after which the same is worth saying again."""

_MOST: Final = 64


class Repeats:
    """Asked before a line is written. Two that come in turn are two stories, each said once; `_MOST` are remembered."""

    def __init__(self, clock: Clock | None = None, again: float = AGAIN) -> None:
        self._clock = clock or SystemClock()
        self._again = again
        self._said: dict[str, float] = {}

    def worth_saying(self, text: str) -> bool:
        """Whether `text` is news. If so, it is not for a while."""
        now = self._clock.monotonic()
        said = self._said.pop(text, None)
        if said is not None and now - said < self._again:
            self._said[text] = said
            return False
        if len(self._said) >= _MOST:
            del self._said[next(iter(self._said))]
        self._said[text] = now
        return True

    def over(self) -> None:
        """It has passed: the next time is news again."""
        self._said.clear()
