"""The peers of the actors' benchmark: what one writes with an asyncio.Queue and a task, and pykka's ask."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from time import perf_counter
from typing import Any

import pykka

from benchmarks.programs.actor_load import MAILBOX, RING, Contestant, Countdown, Kind, LinkKind, in_bursts

# --- a queue and a task -----------------------------------------------------------------------------------------------


class QueueActor:
    """The consumer of the standard library's documents, round a `receive`."""

    def __init__(self, receive: Callable[[Any], Any]) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(MAILBOX)
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
        links = [kind(countdown) for _ in range(RING)]
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
