"""Keeper: what a cell that comes and goes tells whoever has it."""

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from cortex_core.actors.hooks import Terminated

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell


class Keeper(Protocol):
    """Who has cells that come and go: the kind of a virtual actor (kinds.py)."""

    def rested(self, cell: "Cell") -> None:
        """It has nothing to do for now."""
        ...

    def asleep(self, cell: "Cell") -> None:
        """Its actor has left memory; it waits for what it watches."""
        ...

    def told(self, notice: Terminated) -> None:
        """One has ended: those who watch its address are to hear of it."""
        ...

    def gone(self, cell: "Cell", waiting: "deque[Any]") -> None:
        """It is not needed any more, or has ended; `waiting` came when it was too late for it."""
        ...
