"""Actor: state that only one message at a time can touch. What an actor is, and what it can see and do from within."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from cortex_core.actors.address import ActorRef
from cortex_core.actors.errors import ActorStopped
from cortex_core.actors.options import ActorOptions

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell
    from cortex_core.actors.system import ActorSystem


class Actor:
    """Subclass it, and write `receive`. Messages come one at a time, each to its end, also while `receive` awaits.

    `context` is there from `started` on, not yet in `__init__`. The other hooks may be asynchronous too.
    """

    context: "ActorContext"

    def receive(self, message: Any) -> Any | Awaitable[Any]:
        """What to do about `message`. What it returns answers an ask; what it raises goes to the supervision and, where
        it was an ask, to the asker. `async def receive` is as good."""
        raise NotImplementedError(f"{type(self).__name__} does not receive")

    def started(self) -> Awaitable[None] | None:
        """Before the first message, of a fresh actor after a restart or a passivation too. An error is a failure."""
        return None

    def stopped(self) -> Awaitable[None] | None:
        """After the last message: stopped, or about to leave memory. Not before a restart. An error is logged."""
        return None

    def restarting(self, error: Exception) -> Awaitable[None] | None:  # noqa: ARG002 - for those who overwrite it
        """The last thing of an actor that failed with `error`, before a fresh one comes. An error is logged."""
        return None


class ActorContext:
    """What an actor knows of itself and its surroundings. For use on its own event loop, from its own `receive`."""

    __slots__ = ("_cell",)

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell

    @property
    def self(self) -> ActorRef:
        """The actor's own ref."""
        return self._cell.ref

    @property
    def system(self) -> "ActorSystem":
        return self._cell.stage.system

    @property
    def parent(self) -> ActorRef | None:
        """None at the top, and for virtual actors."""
        return None if self._cell.parent is None else self._cell.parent.ref

    @property
    def children(self) -> tuple[ActorRef, ...]:
        return tuple(child.ref for child in self._cell.children.values())

    @property
    def sender(self) -> ActorRef | None:
        """Who sent the message that is being received, where they said."""
        return self._cell.turns.sender

    def spawn(
        self, factory: Callable[[], Actor], name: str | None = None, options: ActorOptions | None = None
    ) -> ActorRef:
        """A child: it stops before this actor does. Raises NameTaken, InvalidAddress; ActorStopped while stopping."""
        if self._cell.ending:
            raise ActorStopped(f"{self.self.address} is stopping: it cannot have children")
        return self._cell.spawn(factory, name, options or ActorOptions()).ref

    def stop(self, ref: ActorRef | None = None) -> None:
        """Stops this actor once the message at hand is done, or the child at `ref`. Raises ValueError for others."""
        if ref is None or ref == self.self:
            self._cell.stop()
            return
        child = next((child for child in self._cell.children.values() if child.ref == ref), None)
        if child is None:
            raise ValueError(f"{ref.address} is no child of {self.self.address}")
        child.stop()

    def watch(self, ref: ActorRef) -> None:
        """`receive` will get one Terminated for `ref`: when it is no more, or at once where it is none."""
        self._cell.watch_other(ref)

    def unwatch(self, ref: ActorRef) -> None:
        """No Terminated for `ref` from now on, even if one is on its way. Harmless where it is not watched."""
        self._cell.unwatch_other(ref)

    def stash(self) -> None:
        """Puts the message at hand aside; its asker waits. Raises StashFull; RuntimeError where there is no message."""
        self._cell.turns.put_aside()

    def unstash(self) -> None:
        """What was put aside comes next, in its order, before the mailbox."""
        self._cell.turns.stash.give_back()

    def set_timer(self, key: object, message: Any, *, after: float | None = None, every: float | None = None) -> None:
        """Tells the actor itself `message` `after` seconds, or `every` so many; one of the two, ≥ 0 and > 0.

        A timer takes the place of the one with the same key. It dies with the actor, at a restart and at passivation
        too; while one is set the actor does not go for being idle. `message` is received in the context of now, less
        its deadline and its retry budget. Of a repeated timer at most one message waits. Raises ValueError.
        """
        self._cell.timers.set(key, message, after=after, every=every)

    def cancel_timer(self, key: object) -> None:
        """No message of that timer will be received any more. Harmless where there is none."""
        self._cell.timers.cancel(key)

    def passivate(self) -> None:
        """Leaves memory once the message at hand is done; its children stop. The next message activates a fresh one."""
        self._cell.passivate()
