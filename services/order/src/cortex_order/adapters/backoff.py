"""How long an order is left alone: longer each time, and never in step with the others."""

import random
from datetime import timedelta


class JitteredBackoff:
    """Between half and all of min(`limit`, `base` · 2ᵗʳⁱᵉˢ) seconds ("equal jitter": some wait is certain, so that a
    provider that comes back is not met by everybody at once, and one that is down is not asked without a pause)."""

    def __init__(self, base: float, limit: float, rng: random.Random | None = None) -> None:
        self._base = base
        self._limit = limit
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it

    def __call__(self, tries: int, /) -> timedelta:
        ceiling = min(self._limit, self._base * 2.0 ** min(tries, 64))
        return timedelta(seconds=self._rng.uniform(ceiling / 2, ceiling))
