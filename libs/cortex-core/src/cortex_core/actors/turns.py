"""Turns: one message at a time, each to its end.

An actor has one task, which is parked while there is nothing to do. One message alone needs no turn of the loop for it:
a callback (ready.py) runs a plain `receive`, and the first step of an asynchronous one (stepping.py), and hands the
task what only a task can do: to wait, to fail, to be interrupted. Several messages for an asynchronous `receive` are
awaited by the task itself. No message costs another task.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import Context as Variables
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from cortex_core.actors.address import ActorRef
from cortex_core.actors.errors import ActorStopped, failure_of
from cortex_core.actors.hooks import Undelivered
from cortex_core.actors.mailbox import Envelope, Mailbox, fail
from cortex_core.actors.ready import BATCH, DEPTH, Ready
from cortex_core.actors.stash import Stash
from cortex_core.actors.stepping import Begun, first_step
from cortex_core.kernel.context import use_context

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell

_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class Failed:
    """An actor failed with `error`: its own, or its `child`'s that was escalated."""

    error: Exception
    child: "Cell | None" = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message whose first step is done; `entered` is its context, in which it still is."""

    item: Any
    begun: Begun
    entered: use_context | None


_Handed = _Waiting | Failed


class Turns:
    """Takes messages out of `mailbox` and gives them to `receive`, while `work` runs and nothing interrupts it."""

    __slots__ = (
        "_at_once",
        "_cancels",
        "_handed",
        "_idle",
        "_item",
        "_mailbox",
        "_parked",
        "_plain",
        "_ready",
        "_receive",
        "_task",
        "interrupted",
        "on_rest",
        "stash",
        "variables",
    )

    _receive: Callable[[Any], Any]
    _task: asyncio.Task[Any]

    def __init__(self, mailbox: Mailbox, ready: Ready, variables: Variables, stash: int) -> None:
        self.variables = variables
        self.stash = Stash(mailbox, stash)
        self.interrupted = False
        self.on_rest: Callable[[], object] | None = None
        self._mailbox = mailbox
        self._ready = ready
        self._plain = False
        self._idle = False  # the task is parked for want of messages: the callback may run them
        self._handed: _Handed | None = None
        self._parked: asyncio.Future[None] | None = None
        self._item: Any = _NOTHING
        self._cancels = 0
        self._at_once = BATCH

    @property
    def resting(self) -> bool:
        """Nothing to do, and nothing under way."""
        return self._idle and not self._mailbox.scheduled

    @property
    def sender(self) -> ActorRef | None:
        return self._item.sender if type(self._item) is Envelope else None

    def serve(self, receive: Callable[[Any], Any]) -> None:
        """Whose messages they are from now on. Called in the actor's task."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a life runs in one
        self._task = task
        self._receive = receive
        self._plain = not inspect.iscoroutinefunction(receive)
        self._mailbox.wake = partial(self._ready.add, self)

    def interrupt(self) -> None:
        """`work` and `park` end at the next message's boundary; `interrupted` stays until somebody resets it."""
        self.interrupted = True
        self.unpark()

    def unpark(self) -> None:
        self._idle = False
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    async def park(self) -> None:
        """Returns after `unpark`."""
        self._parked = self._ready.loop.create_future()
        await self._parked

    async def work(self) -> Failed | None:
        """Until a message fails, which is returned, or `interrupted`."""
        queue, popleft, receive = self._mailbox.queue, self._mailbox.queue.popleft, self._receive
        create_future = self._ready.loop.create_future
        while not self.interrupted:
            left = BATCH
            self._cancels = self._task.cancelling()
            try:
                while queue and left and not self.interrupted:
                    left -= 1
                    self._item = item = popleft()
                    if type(item) is Envelope:
                        await self._open(item)
                        continue
                    result = receive(item)
                    if result is not None and (type(result) is CoroutineType or hasattr(result, "__await__")):
                        await result
            except BaseException as error:  # noqa: BLE001 - sorted there
                return self._failed(error)
            if self.interrupted:
                break  # type: ignore[unreachable]  # somebody did while we awaited
            if queue:
                await asyncio.sleep(0)
                continue
            self._rest()
            self._parked = create_future()
            try:
                await self._parked
            except asyncio.CancelledError as error:
                if not isinstance(self._handed, _Waiting):
                    raise
                self._handed.begun.cancelled = error
            self._mailbox.scheduled = True
            handed, self._handed = self._handed, None
            if handed is not None and (failed := await self._taken_over(handed)) is not None:
                return failed
        self._item = _NOTHING
        return None

    def _rest(self) -> None:
        """Whoever sends something next has to say so."""
        self._item = _NOTHING
        self._mailbox.scheduled = False
        self._idle = True
        if self.on_rest is not None:
            self.on_rest()

    async def _open(self, item: Envelope) -> None:
        if self._begins(item):
            with use_context(item.context):
                result = self._receive(item.message)
                if hasattr(result, "__await__"):
                    result = await result
            item.answer(result)

    async def _taken_over(self, handed: _Handed) -> Failed | None:
        """What the callback began is brought to its end."""
        if isinstance(handed, Failed):
            return handed
        item = handed.item
        try:
            try:
                result = await handed.begun
            finally:
                if handed.entered is not None:
                    handed.entered.__exit__()
        except BaseException as error:  # noqa: BLE001 - sorted there
            return self._failed(error)
        if type(item) is Envelope:
            item.answer(result)
        return None

    def run(self, most: int) -> int:
        """See Runnable. As long as there is nothing that needs the task."""
        queue, popleft, receive = self._mailbox.queue, self._mailbox.queue.popleft, self._receive
        self._cancels = self._task.cancelling()
        if not self._plain and len(queue) > 1:
            self.unpark()  # it is cheaper to be in the task than to step as if
        try:
            while queue and most and self._idle:
                most -= 1
                self._item = item = popleft()
                if type(item) is Envelope:
                    self._open_at_once(item)
                    continue
                result = receive(item)
                if result is not None and (type(result) is CoroutineType or hasattr(result, "__await__")):
                    result = first_step(self._ready.loop, self._task, result)
                    if type(result) is Begun:
                        self._hand_over(_Waiting(item, result, None))
        except BaseException as error:  # noqa: BLE001 - sorted there
            self._failed_at_once(error)
        if self._idle:
            if queue:
                self._ready.add(self)
            else:
                self._rest()
        return most

    def at_once(self, item: Envelope) -> bool:
        """Whether `item` has been received right here. Now and then it is not, so that who asks and asks lets others
        on the loop have their turn."""
        self._at_once -= 1
        if not (self._idle and self._at_once) or self._mailbox.scheduled or self._ready.depth >= DEPTH:
            self._at_once = BATCH
            return False
        self._mailbox.scheduled = True
        self._mailbox.queue.append(item)
        self._ready.depth += 1
        try:
            self.variables.run(self.run, 1)
        finally:
            self._ready.depth -= 1
        return True

    def _open_at_once(self, item: Envelope) -> None:
        if not self._begins(item):
            return
        entered = use_context(item.context)
        entered.__enter__()
        result: Any = None
        try:
            result = self._receive(item.message)
            if hasattr(result, "__await__"):
                result = first_step(self._ready.loop, self._task, result)
        finally:
            if type(result) is not Begun:
                entered.__exit__()
        if type(result) is Begun:
            self._hand_over(_Waiting(item, result, entered))
        else:
            item.answer(result)

    def _failed_at_once(self, error: BaseException) -> None:
        try:
            self._hand_over(self._failed(error))
        except asyncio.CancelledError:
            self.unpark()  # its task has been cancelled, and hears of it itself
        except BaseException:
            self._ready.add(self)
            raise

    def _hand_over(self, handed: _Handed) -> None:
        self._handed = handed
        self.unpark()

    def _begins(self, item: Envelope) -> bool:
        """Whether the message still counts at its turn."""
        if item.guard is not None and not item.guard():
            return False
        if item.given_up:
            self._mailbox.bury(item, Undelivered.ABANDONED)
            return False
        item.begun, item.aside = True, False
        return True

    def _failed(self, error: BaseException) -> Failed:
        """The asker is told. Raises `error` again where it is not the actor's own: Ctrl-C, the end of its task."""
        item, self._item = self._item, _NOTHING
        self.stash.forget(item)
        if isinstance(error, asyncio.CancelledError):
            if self._task.cancelling() > self._cancels:
                fail(item, ActorStopped("the actor was ended while it received the message", attempted=True))
                raise error
        elif not isinstance(error, Exception):
            fail(item, failure_of(error))
            raise error
        known = error if isinstance(error, Exception) else failure_of(error)
        fail(item, failure_of(error) if isinstance(error, StopIteration) else known)
        return Failed(known)

    def put_aside(self) -> None:
        """See ActorContext.stash."""
        if self._item is _NOTHING:
            raise RuntimeError("there is no message at hand that could be put aside")
        self._item = self.stash.put(self._item)
