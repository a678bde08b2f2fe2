"""What both sides of the actors' benchmark are given: a countdown, bursts, and what receives.

A class of `receive` is one and the same whoever calls it, our actors or a queue's task.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from cortex_core.actors import Actor

Contestant = Callable[[int], Awaitable[float]]
"""Takes a number of messages; returns the seconds they took, from the first one sent to the last one received."""

MAILBOX: Final = 1_000
_BURST: Final = 500
RING: Final = 1_000


class Countdown:
    """Done when so many messages have come."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        self.done = asyncio.get_running_loop().create_future()


class Onward(Protocol):
    """The next of a ring: one of our refs, or what stands for it among queues."""

    @property
    def tell(self) -> Callable[[Any], None]: ...


async def in_bursts(send: Callable[[Any], None], messages: int, countdown: Countdown) -> None:
    """As many at a time as a mailbox surely takes, until the last has been received."""
    for first in range(0, messages, _BURST):
        for number in range(first, min(messages, first + _BURST)):
            send(number)
        while countdown.left > messages - first - _BURST > 0:  # noqa: ASYNC110 - an event would cost each message
            await asyncio.sleep(0)
    await countdown.done


class Plain(Actor):
    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown

    def receive(self, message: Any) -> None:  # noqa: ARG002 - counted, not read
        self.countdown.left -= 1
        if not self.countdown.left:
            self.countdown.done.set_result(None)


class Coroutine(Actor):
    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown

    async def receive(self, message: Any) -> None:  # noqa: ARG002 - counted, not read
        self.countdown.left -= 1
        if not self.countdown.left:
            self.countdown.done.set_result(None)


class PlainLink(Plain):
    """Hands a message on to the next of the ring."""

    next: Onward

    def receive(self, message: Any) -> None:
        self.countdown.left -= 1
        if self.countdown.left:
            self.next.tell(message)
        else:
            self.countdown.done.set_result(None)


class CoroutineLink(Coroutine):
    next: Onward

    async def receive(self, message: Any) -> None:
        self.countdown.left -= 1
        if self.countdown.left:
            self.next.tell(message)
        else:
            self.countdown.done.set_result(None)


Kind = type[Plain] | type[Coroutine]
LinkKind = type[PlainLink] | type[CoroutineLink]
