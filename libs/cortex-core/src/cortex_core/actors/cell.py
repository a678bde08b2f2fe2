"""Cell: the place of one actor: its address, its mailbox, its kin, its watchers. What comes and goes in it is a Life.

Its code runs among variables (contextvars) of its own, so that nothing of the request that happened to activate it
stays; the kernel's context comes with each message, and that of its birth with `started`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context as Variables
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cortex_core.actors.actor import Actor
from cortex_core.actors.address import ASK_TIMEOUT, ActorRef, Address, DirectRef, recipient_of, segment
from cortex_core.actors.asking import ask, left
from cortex_core.actors.errors import NameTaken
from cortex_core.actors.hooks import StopReason, Terminated, tell
from cortex_core.actors.idleness import Idleness
from cortex_core.actors.keeper import Keeper
from cortex_core.actors.life import Life
from cortex_core.actors.mailbox import NO_CONTEXT, Envelope, Mailbox, is_given_up
from cortex_core.actors.options import ActorOptions
from cortex_core.actors.stage import Stage, running
from cortex_core.actors.timers import Timers
from cortex_core.actors.turns import Turns
from cortex_core.kernel.context import Context, current

_OF_THIS_ACTIVATION: Final = frozenset({StopReason.ASKED, StopReason.FAILED})  # others end the whole system


class Cell:
    """One actor of this process. Virtual ones have a `keeper`, and a `ref` that finds whatever cell there is."""

    __slots__ = (
        "_idleness",
        "_keeper",
        "_names",
        "_quiet",
        "_variables",
        "_watched",
        "_watchers",
        "asking",
        "children",
        "context",
        "ended",
        "life",
        "mailbox",
        "options",
        "parent",
        "ref",
        "stage",
        "task",
        "tell",
        "timers",
        "turns",
    )

    def __init__(
        self,
        stage: Stage,
        address: Address,
        factory: Callable[[], Actor],
        options: ActorOptions,
        *,
        parent: "Cell | None" = None,
        ref: ActorRef | None = None,
        keeper: Keeper | None = None,
        context: Context | None = None,
    ) -> None:
        self.stage = stage
        self.parent = parent
        self.options: ActorOptions = options
        self.context = replace(context or current(), deadline=None, retry_budget=None)
        self.children: dict[str, Cell] = {}
        self.ended: Terminated | None = None
        self.asking: Cell | None = None
        self.task: asyncio.Task[None] | None = None
        self.mailbox: Mailbox = Mailbox(stage, options.mailbox, options.overflow)
        self.mailbox.wake = self.begin
        self.tell = self.mailbox.tell
        self.ref = self.mailbox.ref = ref or DirectRef(address, self)
        self.timers = Timers(self.mailbox, stage.clock)
        self._variables = Variables()
        self._variables.run(running.set, self)
        self.turns: Turns = Turns(self.mailbox, stage.ready, self._variables, options.stash)
        self.life = Life(self, factory)
        self._keeper = keeper
        self._idleness = None if options.idle is None else Idleness(self, options.idle)
        self._watchers: dict[object, Callable[[Terminated], object]] = {}
        self._watched: set[ActorRef] = set()
        self._quiet: list[asyncio.Future[None]] = []
        self._names = 0
        if self._idleness is not None or keeper is not None:
            self.turns.on_rest = self._rested
        stage.cells.add(self)

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT, sender: ActorRef | None = None) -> Any:
        """See ActorRef.ask."""
        return await ask(self, message, left(timeout, self.stage.clock, self.ref.address), sender)

    # --- its life --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Its life goes on in a task: at its birth, and when something comes while it is out of memory."""
        self.mailbox.scheduled = True
        name = f"actor {self.ref.address}"
        self.task = self.stage.loop.create_task(self.life.run(), name=name, context=self._variables)

    @property
    def ending(self) -> bool:
        return self.life.stops is not None or self.ended is not None

    @property
    def busy(self) -> bool:
        """Whether anything waits or is under way."""
        return self.task is not None and self.ended is None and not self.turns.resting

    @property
    def waiting(self) -> int:
        """Messages that have not been received, and that somebody would miss."""
        return sum(not is_given_up(item) for item in (*self.mailbox.queue, *self.turns.stash))

    @property
    def unneeded(self) -> bool:
        """Nothing to do and nothing to wait for: if it left memory now, nobody would notice."""
        return self.turns.resting and not (self.children or self.timers or self.turns.stash)

    def stop(self, reason: StopReason = StopReason.ASKED) -> None:
        """It ends after the message at hand. Harmless where it has."""
        if self.ended is None:
            self.life.stop(reason)
            if self.task is None:
                self.begin()

    async def stopped(self) -> None:
        """See Recipient."""
        end = self.end()
        self.stop()
        await end

    def passivate(self) -> None:
        """It leaves memory after the message at hand."""
        self.life.passivate()

    def refuses(self) -> None:
        """What waits will not be received. To a virtual actor more may come: it is for the next activation."""
        if self._keeper is None:
            self.mailbox.close()
        self.mailbox.empty()

    def rests(self) -> bool:
        """Its actor has left memory. False: there is work already; else its task may end."""
        if self.mailbox.queue:
            return False
        self.task = None
        self.mailbox.scheduled = False
        self.mailbox.wake = self.begin
        self._tell_quiet()
        if self._keeper is not None:
            if self._watched:
                self._keeper.asleep(self)
            else:
                self._be_gone(self._keeper)
        return True

    def terminated(self, notice: Terminated) -> None:
        """It is no more. Everybody who wants to know is told, once."""
        if self.ended is not None:
            return
        self.ended = notice
        if self.parent is not None:
            self.parent.children.pop(self.ref.address.path.rpartition("/")[2], None)
        for ref in self._watched:
            recipient_of(ref).unwatch(self)
        self._be_gone(self._keeper)
        tell(self.stage.hooks.on_terminated, notice)
        watchers, self._watchers = self._watchers, {}
        for watcher in watchers.values():
            watcher(notice)
        if self._keeper is not None:
            self._keeper.told(notice)
        self._tell_quiet()

    def _be_gone(self, keeper: Keeper | None) -> None:
        if self._idleness is not None:
            self._idleness.cancel()
        self.stage.cells.discard(self)
        waiting: deque[Any] = deque()
        if self.ended is None or self.ended.reason in _OF_THIS_ACTIVATION:
            waiting.extend(self.mailbox.queue)
            self.mailbox.queue.clear()
        self.mailbox.close()
        self.mailbox.empty()
        if keeper is not None:
            keeper.gone(self, waiting)

    # --- kin -------------------------------------------------------------------------------------------------------

    def spawn(self, factory: Callable[[], Actor], name: str | None, options: ActorOptions) -> "Cell":
        """A child. Raises NameTaken, InvalidAddress."""
        if name is None:
            self._names += 1
            name = f"${self._names}"
        if segment("name", name) in self.children:
            raise NameTaken(f"{self.ref.address} has a child {name} already")
        address = Address(self.ref.address.system, f"{self.ref.address.path}/{name}")
        child = self.children[name] = Cell(self.stage, address, factory, options, parent=self)
        child.begin()
        return child

    async def stop_children(self) -> None:
        """Returns when the last of them has ended."""
        ends = [child.end() for child in self.children.values()]
        for child in list(self.children.values()):
            child.stop(StopReason.PARENT)
        for end in ends:
            await end

    # --- watchers --------------------------------------------------------------------------------------------------

    def watch(self, key: object, watcher: Callable[[Terminated], object]) -> None:
        """`watcher` is called once, when this actor is no more: at once where it is not."""
        if self.ended is not None:
            watcher(self.ended)
        else:
            self._watchers[key] = watcher

    def unwatch(self, key: object) -> None:
        self._watchers.pop(key, None)

    def end(self) -> "asyncio.Future[Terminated]":
        """Done when this actor is no more. Whoever does not want to wait any longer cancels it."""
        end: asyncio.Future[Terminated] = self.stage.loop.create_future()
        self.watch(end, partial(settle, end))
        end.add_done_callback(self.unwatch)
        return end

    def watch_other(self, ref: ActorRef) -> None:
        """See ActorContext.watch."""
        if ref == self.ref:
            raise ValueError(f"{ref.address} cannot watch itself")
        if ref not in self._watched:
            self._watched.add(ref)
            recipient_of(ref).watch(self, self._hear)

    def unwatch_other(self, ref: ActorRef) -> None:
        """See ActorContext.unwatch."""
        if ref in self._watched:
            self._watched.discard(ref)
            recipient_of(ref).unwatch(self)

    def _hear(self, notice: Terminated) -> None:
        self.mailbox.put(Envelope(notice, NO_CONTEXT, guard=partial(self._is_news, notice.ref)))

    def _is_news(self, ref: ActorRef) -> bool:
        """At the notice's turn: whether the actor still wants to know, and does not yet."""
        news = ref in self._watched
        self._watched.discard(ref)
        return news

    # --- rest ------------------------------------------------------------------------------------------------------

    async def quiet(self) -> None:
        """Returns when nothing waits and nothing is under way."""
        while self.busy:
            waiter = self.stage.loop.create_future()
            self._quiet.append(waiter)
            self.turns.on_rest = self._rested
            await waiter

    def _rested(self) -> None:
        if self._idleness is not None:
            self._idleness.rested()
        if self._keeper is not None:
            self._keeper.rested(self)
        self._tell_quiet()

    def _tell_quiet(self) -> None:
        waiters, self._quiet = self._quiet, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def settle(end: "asyncio.Future[Terminated]", notice: Terminated) -> None:
    """A watcher for those who await."""
    if not end.done():
        end.set_result(notice)
