"""Timers of one actor: keyed, on the system's clock, and gone when the actor is."""

from dataclasses import replace
from functools import partial
from typing import Any

from cortex_core.actors.bounds import seconds
from cortex_core.actors.mailbox import Envelope, Mailbox
from cortex_core.kernel.clock import Clock, Timer
from cortex_core.kernel.context import Context, current


class Timers:
    """Promises that no message of a cancelled timer is received, even if it waits in the mailbox already."""

    __slots__ = ("_clock", "_mailbox", "_set")

    def __init__(self, mailbox: Mailbox, clock: Clock) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._set: dict[object, _Set] = {}

    def __len__(self) -> int:
        return len(self._set)

    def set(self, key: object, message: Any, *, after: float | None, every: float | None) -> None:
        """See ActorContext.set_timer."""
        if (after is None) == (every is None):
            raise ValueError("a timer has either after or every")
        if every is not None:
            seconds("every", every)
        else:
            seconds("after", after, or_zero=True)
        self.cancel(key)
        context = replace(current(), deadline=None, retry_budget=None)
        timer = self._set[key] = _Set(message, context, every)
        self._arm(key, timer, after if every is None else every)  # type: ignore[arg-type]  # one of them: right above

    def cancel(self, key: object) -> None:
        timer = self._set.pop(key, None)
        if timer is not None:
            timer.alarm.cancel()

    def cancel_all(self) -> None:
        for key in list(self._set):
            self.cancel(key)

    def _arm(self, key: object, timer: "_Set", delay: float) -> None:
        timer.alarm = self._clock.call_later(delay, partial(self._ring, key, timer))

    def _ring(self, key: object, timer: "_Set") -> None:
        if not timer.waiting:
            timer.waiting = True
            self._mailbox.put(Envelope(timer.message, timer.context, guard=partial(self._is_due, key, timer)))
        if timer.every is not None:
            self._arm(key, timer, timer.every)

    def _is_due(self, key: object, timer: "_Set") -> bool:
        """At the message's turn: whether the timer was neither cancelled nor replaced since it rang."""
        if self._set.get(key) is not timer:
            return False
        timer.waiting = False
        if timer.every is None:
            del self._set[key]
        return True


class _Set:
    """One timer. `waiting`: a message of it is in the mailbox."""

    __slots__ = ("alarm", "context", "every", "message", "waiting")

    alarm: Timer

    def __init__(self, message: Any, context: Context, every: float | None) -> None:
        self.message = message
        self.context = context
        self.every = every
        self.waiting = False
