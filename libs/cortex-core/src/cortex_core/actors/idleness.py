"""Idleness: an actor that has received nothing for so long leaves memory."""

from typing import TYPE_CHECKING

from cortex_core.kernel.clock import Timer

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell


class Idleness:
    """One alarm an actor, set anew only when it rings: a message costs a reading of the clock, no timer."""

    __slots__ = ("_alarm", "_cell", "_seconds", "_since")

    def __init__(self, cell: "Cell", seconds: float) -> None:
        self._cell = cell
        self._seconds = seconds
        self._since = 0.0
        self._alarm: Timer | None = None

    def rested(self) -> None:
        """It has nothing to do from now on."""
        self._since = self._cell.stage.clock.monotonic()
        if self._alarm is None:
            self._arm(self._seconds)

    def cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self, delay: float) -> None:
        self._alarm = self._cell.stage.clock.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if not self._cell.turns.resting:
            return  # it will say when it is
        left = self._since + self._seconds - self._cell.stage.clock.monotonic()
        if left > 0:
            self._arm(left)
        elif self._cell.unneeded:
            self._cell.passivate()
        else:
            self._arm(self._seconds)
