"""Mailbox: what waits for an actor, so many and no more, in the order it came.

Owns the fast way in: most messages lie in the queue as they are. Only those that come with something (a context that is
not empty, a sender, an asker, a condition) lie there in an envelope. `room` is the mailbox's size, or -1 while every
message must be looked at: one comparison covers full, closed and draining. Refuses to run anything: whoever empties it
sets `wake`, which is called when a message comes and `scheduled` is False.
"""

import contextvars
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from cortex_core.actors.address import ActorRef
from cortex_core.actors.errors import ActorStopped, MailboxFull
from cortex_core.actors.hooks import Undelivered
from cortex_core.actors.options import Overflow
from cortex_core.actors.stage import Stage
from cortex_core.kernel.context import Context, current

NO_CONTEXT: Final = contextvars.Context().run(current)
"""What `current()` is where nobody has set anything: the very object."""


class Envelope:
    """A message and what came with it. `guard` says at its turn whether it still counts; `begun`: its turn has come;
    `aside`: it is in the stash, or was put back from there."""

    __slots__ = ("aside", "begun", "context", "guard", "message", "reply", "sender")

    def __init__(
        self,
        message: Any,
        context: Context,
        sender: ActorRef | None = None,
        reply: "Future[Any] | None" = None,
        guard: Callable[[], bool] | None = None,
    ) -> None:
        self.message = message
        self.context = context
        self.sender = sender
        self.reply = reply
        self.guard = guard
        self.begun = False
        self.aside = False

    @property
    def given_up(self) -> bool:
        """Whether it was an ask and nobody waits for its answer any more."""
        return self.reply is not None and self.reply.done()

    def answer(self, result: Any) -> None:
        """The asker, if one still waits and the message was not put aside, gets `result`."""
        if self.reply is not None and not self.aside and not self.reply.done():
            self.reply.set_result(result)

    def fail(self, error: BaseException) -> None:
        """The asker, if one still waits, gets `error`."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # read: an asker whose loop is closed over it must not make noise


class Mailbox:
    """At most `size` messages that somebody sent; what the system itself puts in (`put`) is not counted against it.

    Asks that were given up are taken out once it is full. `give_up` counts them, so that a full mailbox of messages
    that somebody waits for is not searched at each refusal.
    """

    __slots__ = (
        "_closed",
        "_given_up",
        "_overflow",
        "_size",
        "_stage",
        "heir",
        "queue",
        "ref",
        "room",
        "scheduled",
        "wake",
    )

    ref: ActorRef

    def __init__(self, stage: Stage, size: int, overflow: Overflow) -> None:
        self.queue: deque[Any] = deque()
        self._stage = stage
        self._size = size
        self._overflow = overflow
        self._closed = False
        self._given_up = 0  # at most so many may lie in the queue
        self.heir: Mailbox | None = None  # whose the messages are now
        self.room = -1 if stage.draining else size
        self.scheduled = False
        self.wake: Callable[[], object] = _nobody

    def tell(self, message: Any, sender: ActorRef | None = None) -> None:
        """See ActorRef.tell."""
        queue = self.queue
        if len(queue) >= self.room and not self._takes(message, sender):
            return
        context = current()
        if context is NO_CONTEXT and sender is None:
            queue.append(message)
        else:
            queue.append(Envelope(message, context, sender))
        if not self.scheduled:
            self.scheduled = True
            self.wake()

    def check_ask(self) -> None:
        """Whether an ask may be put. Raises MailboxFull, ActorStopped, SystemDraining."""
        if self._closed:
            raise ActorStopped(f"{self.ref.address} has stopped")
        self._stage.check_admission()
        if self._is_full():
            raise self._full()

    def put(self, envelope: Envelope) -> None:
        """Without regard to the bound. Nothing happens where the mailbox is closed."""
        if self._closed:
            return
        self.queue.append(envelope)
        if not self.scheduled:
            self.scheduled = True
            self.wake()

    def give_up(self) -> None:
        """An asker has left whose message may lie here."""
        if self.heir is None:
            self._given_up += 1
        else:
            self.heir.give_up()

    def put_back(self, items: Sequence[Any]) -> None:
        """Before all others, in their order."""
        self.queue.extendleft(reversed(items))

    def narrow(self) -> None:
        """From now on every message is looked at."""
        self.room = -1

    def close(self) -> None:
        """From now on tells are dead letters and asks are refused."""
        self._closed = True
        self.room = -1

    def empty(self) -> None:
        """What waits becomes dead letters; askers are told that the actor has stopped."""
        while self.queue:
            item = self.queue.popleft()
            self.bury(item, Undelivered.ABANDONED if is_given_up(item) else Undelivered.STOPPED)

    def fail_asks(self, error: Exception) -> None:
        """Who waits for an answer gets `error` instead; what was told stays."""
        kept = [item for item in self.queue if type(item) is not Envelope or item.reply is None]
        for item in self.queue:
            if type(item) is Envelope:
                item.fail(error)
        self.queue.clear()
        self.queue.extend(kept)

    def bury(self, item: Any, reason: Undelivered) -> None:
        """Makes `item` a dead letter. What the system put in for the actor alone just goes."""
        if type(item) is not Envelope:
            self._stage.bury(self.ref, item, None, reason)
        elif item.guard is None:
            item.fail(
                self._full() if reason is Undelivered.OVERFLOW else ActorStopped(f"{self.ref.address} has stopped")
            )
            self._stage.bury(self.ref, item.message, item.sender, reason)

    def _takes(self, message: Any, sender: ActorRef | None) -> bool:
        """The slow way in: whether the message may go into the queue. Raises MailboxFull, SystemDraining."""
        if self._closed:
            self._stage.bury(self.ref, message, sender, Undelivered.STOPPED)
            return False
        self._stage.check_admission()
        if not self._is_full():
            return True
        if self._overflow is Overflow.REJECT:
            raise self._full()
        if self._overflow is Overflow.DROP_OLDEST and self._dropped_oldest():
            return True
        self._stage.bury(self.ref, message, sender, Undelivered.OVERFLOW)
        return False

    def _is_full(self) -> bool:
        """Once those have made room for whom nobody waits."""
        if len(self.queue) < self._size:
            return False
        if self._given_up:
            self._given_up = 0
            items = list(self.queue)
            self.queue.clear()
            self.queue.extend(item for item in items if not is_given_up(item))
            for item in filter(is_given_up, items):
                self.bury(item, Undelivered.ABANDONED)
        return len(self.queue) >= self._size

    def _dropped_oldest(self) -> bool:
        """Whether there was one that may be dropped: what the system put in may not."""
        for position, item in enumerate(self.queue):
            if type(item) is not Envelope or item.guard is None:
                del self.queue[position]
                self.bury(item, Undelivered.OVERFLOW)
                return True
        return False

    def _full(self) -> MailboxFull:
        return MailboxFull(f"{self.ref.address} has {self._size} messages waiting", size=self._size)


def _nobody() -> None:
    """Nobody empties the mailbox yet."""


def is_given_up(item: Any) -> bool:
    """Whether it was an ask and nobody waits for its answer any more."""
    return type(item) is Envelope and item.given_up


def fail(item: Any, error: BaseException) -> None:
    """Whoever asked `item` gets `error`."""
    if type(item) is Envelope:
        item.fail(error)
