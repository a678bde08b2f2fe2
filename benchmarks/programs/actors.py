"""Messages to actors: ours, what one writes with an asyncio.Queue and a task, and asks of pykka's.

Prints `{name: [messages a second, one a round]}` as JSON. In bulk one sender tells one actor as many at a time as its
mailbox can take; in a ring a thousand actors hand one message on. Every mailbox is bounded at 1,000. The collector is
off while the clock runs.
"""

import asyncio
import gc
import json
import sys
from time import perf_counter
from typing import Any, Final

from benchmarks.programs.actor_load import (
    RING,
    Contestant,
    Coroutine,
    CoroutineLink,
    Countdown,
    Kind,
    LinkKind,
    Plain,
    PlainLink,
    in_bursts,
)
from benchmarks.programs.actor_peers import (
    LeanCoroutine,
    LeanPlain,
    QueueActor,
    pykka_asked,
    queue_in_a_ring,
    queue_in_bulk,
    queue_in_bursts,
)
from cortex_core.actors import Actor, ActorSystem
from cortex_core.kernel import Context, TraceContext, use_context

_TRIAL: Final = 5_000


class Echo(Actor):
    def receive(self, message: Any) -> Any:
        return message


class CoroutineEcho(Actor):
    async def receive(self, message: Any) -> Any:
        return message


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
        links = [kind(countdown) for _ in range(RING)]
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
