"""Messages to actors: ours, what one writes with an asyncio.Queue and a task, and asks of pykka's.

Prints `{name: [messages a second, one a round]}` as JSON. In bulk one sender tells one actor as many at a time as its
mailbox can take; in a ring a thousand actors hand one message on. Every mailbox is bounded at 1,000. The collector is
off while the clock runs.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from time import perf_counter
from typing import Any, Final, Protocol

import pykka

from cortex_core.actors import Actor, ActorSystem
from cortex_core.kernel import Context, TraceContext, use_context

Contestant = Callable[[int], Awaitable[float]]
"""Takes a number of messages; returns the seconds they took, from the first one sent to the last one received."""

_MAILBOX: Final = 1_000
_BURST: Final = 500
_RING: Final = 1_000
_TRIAL: Final = 5_000


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


# --- ours -------------------------------------------------------------------------------------------------------------


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


class Echo(Actor):
    def receive(self, message: Any) -> Any:
        return message


class CoroutineEcho(Actor):
    async def receive(self, message: Any) -> Any:
        return message


Kind = type[Plain] | type[Coroutine]
LinkKind = type[PlainLink] | type[CoroutineLink]


def ours_in_bulk(kind: Kind) -> Contestant:
    async def run(messages: int) -> float:
        system, countdown = ActorSystem("bench"), Countdown(messages)
        tell = system.spawn(lambda: kind(countdown)).tell
        await asyncio.sleep(0.01)
        began = perf_counter()
        await in_bursts(tell, messages, countdown)
        seconds = perf_counter() - began
        await system.drain(within=1)
        return seconds

    return run


def ours_in_context(kind: Kind) -> Contestant:
    """As a service has it: whoever sends has a request's context, and the actor receives in it."""
    bulk = ours_in_bulk(kind)

    async def run(messages: int) -> float:
        with use_context(Context(trace=TraceContext.new(), tenant="acme", request_id="r")):
            return await bulk(messages)

    return run


def ours_in_a_ring(kind: LinkKind) -> Contestant:
    async def run(messages: int) -> float:
        system, countdown = ActorSystem("bench"), Countdown(messages)
        links = [kind(countdown) for _ in range(_RING)]
        refs = [system.spawn(lambda link=link: link) for link in links]  # type: ignore[misc]
        for link, ref in zip(links, [*refs[1:], refs[0]], strict=True):
            link.next = ref
        await asyncio.sleep(0.01)
        began = perf_counter()
        refs[0].tell("token")
        await countdown.done
        seconds = perf_counter() - began
        await system.drain(within=1)
        return seconds

    return run


def ours_asked(kind: type[Actor]) -> Contestant:
    async def run(messages: int) -> float:
        system = ActorSystem("bench")
        ask = system.spawn(kind).ask
        began = perf_counter()
        for number in range(messages):
            await ask(number)
        seconds = perf_counter() - began
        await system.drain(within=1)
        return seconds

    return run


# --- a queue and a task -----------------------------------------------------------------------------------------------


class QueueActor:
    """The consumer of the standard library's documents, round a `receive`."""

    def __init__(self, receive: Callable[[Any], Any]) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(_MAILBOX)
        self.receive = receive
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            message = await self.queue.get()
            result = self.receive(message)
            if isawaitable(result):
                await result
            self.queue.task_done()


class LeanPlain(QueueActor):
    """No more than what it takes, and only for one sort of `receive`."""

    async def run(self) -> None:
        get, receive = self.queue.get, self.receive
        while True:
            receive(await get())


class LeanCoroutine(QueueActor):
    async def run(self) -> None:
        get, receive = self.queue.get, self.receive
        while True:
            await receive(await get())


async def ended(*actors: QueueActor) -> None:
    for actor in actors:
        actor.task.cancel()
    await asyncio.gather(*(actor.task for actor in actors), return_exceptions=True)


def queue_in_bulk(actor_kind: type[QueueActor], kind: Kind) -> Contestant:
    async def run(messages: int) -> float:
        countdown = Countdown(messages)
        actor = actor_kind(kind(countdown).receive)
        put = actor.queue.put
        await asyncio.sleep(0.01)
        began = perf_counter()
        for number in range(messages):
            await put(number)
        await countdown.done
        seconds = perf_counter() - began
        await ended(actor)
        return seconds

    return run


def queue_in_bursts(actor_kind: type[QueueActor], kind: Kind) -> Contestant:
    async def run(messages: int) -> float:
        countdown = Countdown(messages)
        actor = actor_kind(kind(countdown).receive)
        put = actor.queue.put_nowait
        await asyncio.sleep(0.01)
        began = perf_counter()
        await in_bursts(put, messages, countdown)
        seconds = perf_counter() - began
        await ended(actor)
        return seconds

    return run


class QueueRef:
    """The next of the ring, among queues."""

    def __init__(self, actor: QueueActor) -> None:
        self.tell = actor.queue.put_nowait


def queue_in_a_ring(actor_kind: type[QueueActor], kind: LinkKind) -> Contestant:
    async def run(messages: int) -> float:
        countdown = Countdown(messages)
        links = [kind(countdown) for _ in range(_RING)]
        actors = [actor_kind(link.receive) for link in links]
        for link, actor in zip(links, [*actors[1:], actors[0]], strict=True):
            link.next = QueueRef(actor)
        await asyncio.sleep(0.01)
        began = perf_counter()
        actors[0].queue.put_nowait("token")
        await countdown.done
        seconds = perf_counter() - began
        await ended(*actors)
        return seconds

    return run


# --- pykka ------------------------------------------------------------------------------------------------------------


class PykkaEcho(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


async def pykka_asked(messages: int) -> float:
    """A blocking ask, as its documents show it: from one thread to the actor's."""
    ref = PykkaEcho.start()
    try:
        began = perf_counter()
        for number in range(messages):
            ref.ask(number)
        return perf_counter() - began
    finally:
        ref.stop()


CONTESTANTS: Final[dict[str, Contestant]] = {
    "ours, plain, bulk": ours_in_bulk(Plain),
    "queue, plain, bulk": queue_in_bulk(QueueActor, Plain),
    "lean queue, plain, bulk": queue_in_bursts(LeanPlain, Plain),
    "ours, coroutine, bulk": ours_in_bulk(Coroutine),
    "queue, coroutine, bulk": queue_in_bulk(QueueActor, Coroutine),
    "lean queue, coroutine, bulk": queue_in_bursts(LeanCoroutine, Coroutine),
    "ours, plain, in a request's context": ours_in_context(Plain),
    "ours, coroutine, in a request's context": ours_in_context(Coroutine),
    "ours, plain, ring": ours_in_a_ring(PlainLink),
    "queue, plain, ring": queue_in_a_ring(QueueActor, PlainLink),
    "lean queue, plain, ring": queue_in_a_ring(LeanPlain, PlainLink),
    "ours, coroutine, ring": ours_in_a_ring(CoroutineLink),
    "queue, coroutine, ring": queue_in_a_ring(QueueActor, CoroutineLink),
    "lean queue, coroutine, ring": queue_in_a_ring(LeanCoroutine, CoroutineLink),
    "ours, ask, plain": ours_asked(Echo),
    "ours, ask, coroutine": ours_asked(CoroutineEcho),
    "pykka, ask": pykka_asked,
}


async def rates(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Of each contestant, messages a second in each round. Each has about `seconds` for its turn."""
    trials = {name: await run(_TRIAL) for name, run in CONTESTANTS.items()}
    messages = {name: max(_TRIAL, int(_TRIAL * seconds / trial)) for name, trial in trials.items()}
    found: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, run in CONTESTANTS.items():
            found[name].append(messages[name] / await run(messages[name]))
            gc.collect()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(rates(int(sys.argv[1]), float(sys.argv[2])))))
