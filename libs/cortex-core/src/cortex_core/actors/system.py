"""ActorSystem: where actors live. Spawns them, finds virtual ones, stops them, and drains them all before the end."""

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from cortex_core.actors.actor import Actor
from cortex_core.actors.address import ActorRef, Address, recipient_of, segment
from cortex_core.actors.bounds import seconds, whole
from cortex_core.actors.cell import Cell, settle
from cortex_core.actors.draining import Drained, drain
from cortex_core.actors.errors import NameTaken, UnknownKind
from cortex_core.actors.hooks import ActorHooks, Terminated, Undelivered
from cortex_core.actors.kinds import Kind
from cortex_core.actors.options import ActorOptions
from cortex_core.actors.stage import Stage, running
from cortex_core.kernel.clock import Clock, SystemClock


class ActorSystem:
    """Actors on one event loop: that on which the first of them is made. `name` is the first part of their addresses.

    Raises InvalidAddress for a name that no address can hold.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        hooks: ActorHooks | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = segment("name", name)
        jitter = rng or random.Random()  # noqa: S311 - jitter spreads restarts; nobody gains by guessing it
        self._stage = Stage(self, clock or SystemClock(), hooks or ActorHooks(), jitter)
        self._top: dict[str, Cell] = {}
        self._kinds: dict[str, Kind] = {}
        self._names = 0

    @property
    def dead_letters(self) -> Mapping[Undelivered, int]:
        """How many messages nobody received, by reason, since the beginning."""
        return MappingProxyType(self._stage.dead_letters)

    @property
    def size(self) -> int:
        """Actors that live, whatever their place in the tree."""
        return len(self._stage.cells)

    def spawn(
        self, factory: Callable[[], Actor], name: str | None = None, options: ActorOptions | None = None
    ) -> ActorRef:
        """An actor at the top of the tree. `factory` is called on the loop's next turn, and again at each restart.

        Raises NameTaken, InvalidAddress, SystemDraining.
        """
        self._stage.check_admission()
        if name is None:
            self._names += 1
            name = f"${self._names}"
        if segment("name", name) in self._top or name in self._kinds:
            raise NameTaken(f"{self.name} has an actor or a kind {name} already")
        cell = self._top[name] = Cell(self._stage, Address(self.name, name), factory, options or ActorOptions())
        cell.watch(self, lambda _: self._top.pop(name))
        cell.begin()
        return cell.ref

    def register(
        self,
        kind: str,
        factory: Callable[[str], Actor],
        options: ActorOptions | None = None,
        *,
        max_active: int | None = None,
    ) -> None:
        """Virtual actors: `factory(id)` makes one when the first message comes, and again after it has left memory.

        At most `max_active` (≥ 1; None: no bound) are in memory; the one that has rested longest makes room for
        another. Raises NameTaken, InvalidAddress, ValueError.
        """
        if segment("kind", kind) in self._kinds or kind in self._top:
            raise NameTaken(f"{self.name} has an actor or a kind {kind} already")
        if max_active is not None:
            whole("max_active", max_active, least=1)
        self._kinds[kind] = Kind(self._stage, self.name, kind, factory, options or ActorOptions(), max_active)

    def ref(self, kind: str, id: str) -> ActorRef:  # noqa: A002 - what it is called everywhere
        """The virtual actor of that kind and id, of the current tenant. Activates nothing.

        Raises UnknownKind, InvalidAddress.
        """
        if kind not in self._kinds:
            raise UnknownKind(f"{self.name} has no actors of kind {kind!r}")
        return self._kinds[kind].ref(id)

    def watch(self, ref: ActorRef) -> "asyncio.Future[Terminated]":
        """Done when the actor is no more: at once where it is not. An actor watches by its context instead."""
        end: asyncio.Future[Terminated] = self._stage.loop.create_future()
        recipient = recipient_of(ref)
        recipient.watch(end, partial(settle, end))
        end.add_done_callback(recipient.unwatch)
        return end

    async def stop(self, ref: ActorRef) -> None:
        """Returns when the actor and its children have stopped. The message at hand is received to its end; those that
        wait become dead letters. Raises ValueError where an actor would wait for its own end: it has its context."""
        asking = running.get()
        if asking is not None and asking.task is asyncio.current_task():
            _check_no_kin(asking, ref)
        await recipient_of(ref).stopped()

    async def drain(self, within: float) -> Drained:
        """Finishes what is there, in at most `within` seconds (≥ 0), and stops everybody. Returns what was left.

        From now on only actors bring work: whoever comes from outside gets SystemDraining. What waits when the time is
        over becomes dead letters. Who has not stopped a second later is cancelled, and has another one to end. Safe to
        call again.
        """
        seconds("within", within, or_zero=True)
        return await drain(self._stage, within)


def _check_no_kin(asking: Cell, ref: ActorRef) -> None:
    cell: Cell | None = asking
    while cell is not None:
        if cell.ref == ref:
            raise ValueError(f"{asking.ref.address} would wait for its own end: an actor stops itself by its context")
        cell = cell.parent
