"""Kinds: virtual actors. One is addressed by its kind and its id, and always there; in memory only while it is needed.

Owns that there is one activation at a time, and no more of a kind than may be: the one that has rested longest makes
room. A cell is made for a message that is sure to come, never before; who watches an address is known here, whether
there is a cell or not. A virtual actor belongs to a tenant: the same id of two tenants is two actors.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cortex_core.actors.actor import Actor
from cortex_core.actors.address import ASK_TIMEOUT, ActorRef, Address, recipient_of, segment
from cortex_core.actors.asking import ask, left
from cortex_core.actors.cell import Cell
from cortex_core.actors.errors import TooManyActive
from cortex_core.actors.hooks import StopReason, Terminated
from cortex_core.actors.options import ActorOptions
from cortex_core.actors.stage import Stage
from cortex_core.kernel.context import DEFAULT_TENANT, Context, current


class Kind:
    """The virtual actors of one kind. `cells` has those in memory, the one that has rested longest first, and those out
    of memory that watch somebody."""

    def __init__(
        self,
        stage: Stage,
        system: str,
        name: str,
        factory: Callable[[str], Actor],
        options: ActorOptions,
        max_active: int | None,
    ) -> None:
        self.stage = stage
        self.cells: OrderedDict[Address, Cell] = OrderedDict()
        self.watchers: dict[ActorRef, dict[object, Callable[[Terminated], object]]] = {}
        self._system = system
        self._name = name
        self._factory = factory
        self._options = options
        self._max_active = max_active
        self._placeless: set[Cell] = set()  # on their way out, or out and asleep
        stage.kinds.append(self)

    def ref(self, key: str) -> ActorRef:
        """Of the current tenant's actor. Raises InvalidAddress."""
        tenant = current().tenant
        own = "" if tenant == DEFAULT_TENANT else f"{segment('tenant', tenant)}/"
        address = Address(self._system, f"{self._name}/{own}{segment('id', key)}")
        return ActorRef(address, Virtual(self, address, tenant, key))

    def cell(self, virtual: "Virtual") -> Cell:
        """The one there is, or a new one. Raises SystemDraining, TooManyActive."""
        cell = self.cells.get(virtual.address)
        if cell is None:
            self.stage.check_admission()
            self._make_room()
            cell = self._added(virtual, current())
        elif cell in self._placeless and cell.task is None:
            self._make_room()
            self._placeless.discard(cell)
        return cell

    def rested(self, cell: Cell) -> None:
        """See Keeper. One that was on its way out, and had more to do, is back."""
        self._placeless.discard(cell)
        self.cells.move_to_end(cell.ref.address)

    def asleep(self, cell: Cell) -> None:
        """See Keeper."""
        self._placeless.add(cell)

    def told(self, notice: Terminated) -> None:
        """See Keeper."""
        for watcher in self.watchers.pop(notice.ref, {}).values():
            watcher(notice)

    def drained(self) -> None:
        """Who watches somebody that is not active would wait for ever."""
        for ref in [each for each in self.watchers if each.address not in self.cells]:
            self.told(Terminated(ref, StopReason.DRAINED))

    def gone(self, cell: Cell, waiting: "deque[Any]") -> None:
        """See Keeper. What came too late for one activation is the next one's."""
        del self.cells[cell.ref.address]
        self._placeless.discard(cell)
        if waiting:
            virtual = recipient_of(cell.ref)
            assert isinstance(virtual, Virtual)  # noqa: S101 - `_added` gave it
            heir = self._added(virtual, cell.context)
            heir.mailbox.queue.extend(waiting)
            cell.mailbox.heir = heir.mailbox
            heir.begin()

    def _added(self, virtual: "Virtual", context: Context) -> Cell:
        cell = self.cells[virtual.address] = Cell(
            self.stage,
            virtual.address,
            partial(self._factory, virtual.key),
            self._options,
            ref=ActorRef(virtual.address, virtual),
            keeper=self,
            context=replace(context, tenant=virtual.tenant),
        )
        return cell

    def _make_room(self) -> None:
        if self._max_active is None:
            return
        surplus = len(self.cells) - len(self._placeless) - self._max_active + 1
        if surplus <= 0:
            return
        for cell in self.cells.values():
            if cell.unneeded:
                self._placeless.add(cell)
                cell.passivate()
                surplus -= 1
                if not surplus:
                    return
        raise TooManyActive(f"{self._max_active} actors of kind {self._name} are active, and none is idle")


class Virtual:
    """The way to one virtual actor: through whatever cell there is, or a new one."""

    __slots__ = ("_kind", "address", "key", "tenant")

    def __init__(self, kind: Kind, address: Address, tenant: str, key: str) -> None:
        self._kind = kind
        self.address = address
        self.tenant = tenant
        self.key = key

    def tell(self, message: Any, sender: ActorRef | None = None) -> None:
        """See ActorRef.tell."""
        self._kind.cell(self).tell(message, sender)

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT, sender: ActorRef | None = None) -> Any:
        """See ActorRef.ask."""
        timeout = left(timeout, self._kind.stage.clock, self.address)
        return await ask(self._kind.cell(self), message, timeout, sender)

    def watch(self, key: object, watcher: Callable[[Terminated], object]) -> None:
        """See Recipient."""
        if self.address not in self._kind.cells:
            self._kind.stage.check_admission()
        self._kind.watchers.setdefault(ActorRef(self.address, self), {})[key] = watcher

    def unwatch(self, key: object) -> None:
        """See Recipient."""
        ref = ActorRef(self.address, self)
        watchers = self._kind.watchers.get(ref, {})
        watchers.pop(key, None)
        if not watchers:
            self._kind.watchers.pop(ref, None)

    async def stopped(self) -> None:
        """See Recipient."""
        cell = self._kind.cells.get(self.address)
        if cell is not None:
            await cell.stopped()
        else:
            self._kind.told(Terminated(ActorRef(self.address, self), StopReason.ASKED))
