"""What all actors of one system stand on: its clock and its hooks, who runs, and whether it still takes work."""

import asyncio
import random
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from cortex_core.actors.address import ActorRef
from cortex_core.actors.errors import SystemDraining
from cortex_core.actors.hooks import ActorHooks, DeadLetter, Undelivered, tell
from cortex_core.actors.ready import Ready
from cortex_core.kernel.clock import Clock

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell
    from cortex_core.actors.kinds import Kind
    from cortex_core.actors.system import ActorSystem

running: "ContextVar[Cell | None]" = ContextVar("cortex_running_actor", default=None)
"""Whose code runs: the actor's own, and that of the tasks it started."""


class Stage:
    """`cells` are all that live, virtual ones that rest included."""

    def __init__(self, system: "ActorSystem", clock: Clock, hooks: ActorHooks, rng: random.Random) -> None:
        self.system = system
        self.clock = clock
        self.hooks = hooks
        self.rng = rng
        self.cells: set[Cell] = set()
        self.kinds: list[Kind] = []
        self.draining = False
        self.dead_letters: Counter[Undelivered] = Counter()
        self._ready: Ready | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one on which all of it happens: that of the first actor."""
        return self.ready.loop

    @property
    def ready(self) -> Ready:
        """Who has plain messages waiting."""
        if self._ready is None:
            self._ready = Ready(asyncio.get_running_loop())
        return self._ready

    def admits(self) -> bool:
        """Whether whoever calls may bring work: anybody, and during a drain only actors themselves."""
        if not self.draining:
            return True
        cell = running.get()
        return cell is not None and cell.stage is self

    def check_admission(self) -> None:
        """Raises SystemDraining where `admits` says no."""
        if not self.admits():
            raise SystemDraining(f"{self.system.name} is draining: it takes nothing new")

    def bury(self, recipient: ActorRef, message: Any, sender: ActorRef | None, reason: Undelivered) -> None:
        """Counts a dead letter, and tells of it."""
        self.dead_letters[reason] += 1
        tell(self.hooks.on_dead_letter, DeadLetter(recipient, message, sender, reason))
