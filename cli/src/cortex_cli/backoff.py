"""How long to wait before a process that died is started again: longer each time, so that a broken one costs little."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Seconds to wait before the next start: 0.5, 1, 2 … 30. Whoever has run for `healthy_after` begins anew."""

    first: float = 0.5
    most: float = 30.0
    healthy_after: float = 60.0
    _deaths: dict[str, int] = field(default_factory=dict)

    def after(self, name: str, lived: float) -> float:
        """`lived`: seconds its last run took."""
        deaths = 0 if lived >= self.healthy_after else self._deaths.get(name, 0)
        self._deaths[name] = deaths + 1
        return min(self.most, self.first * 2.0**deaths)
