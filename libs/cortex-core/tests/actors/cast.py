"""Who plays in the tests of actors: somebody who listens to all hooks, and a few actors."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from cortex_core.actors import (
    Actor,
    ActorHooks,
    ActorOptions,
    ActorRef,
    DeadLetter,
    Directive,
    Failure,
    Supervision,
    Terminated,
)
from cortex_core.kernel import Context, current


class Heard:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.dead_letters: list[DeadLetter] = []
        self.failures: list[Failure] = []
        self.started: list[str] = []
        self.passivated: list[str] = []
        self.terminated: list[Terminated] = []

    def hooks(self) -> ActorHooks:
        return ActorHooks(
            on_dead_letter=self.dead_letters.append,
            on_failure=self.failures.append,
            on_started=lambda details: self.started.append(details.ref.address.path),
            on_passivated=lambda details: self.passivated.append(details.ref.address.path),
            on_terminated=self.terminated.append,
        )


class LongestJitter(random.Random):
    """Every wait is as long as it may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Recorder(Actor):
    """Remembers what came, over restarts too: `seen` is its maker's. `"boom"` fails it."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        self.seen = [] if seen is None else seen

    def receive(self, message: Any) -> Any:
        if message == "boom":
            raise LookupError("boom")
        self.seen.append(message)
        return message


class Gate(Actor):
    """Receives a future and waits for it: the message at hand lasts as long as the test says."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        self.seen = [] if seen is None else seen

    async def receive(self, message: Any) -> Any:
        self.seen.append(message)
        return await message if isinstance(message, asyncio.Future) else message


class Does(Actor):
    """Does what it is told, and remembers what else it received."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        self.seen = [] if seen is None else seen

    async def receive(self, message: Any) -> Any:
        if not callable(message):
            self.seen.append(message)
            return None
        result = message(self)
        return await result if asyncio.iscoroutine(result) else result


class Notes(Actor):
    """Does what it is told, and remembers what else it received, and in which context."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.contexts: list[Context] = []

    def receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.contexts.append(current())
        return self.seen.append(message)


class Lives(Recorder):
    """Writes down what happens to it: one of the makers' list a life."""

    def __init__(self, diary: list[Any]) -> None:
        super().__init__(diary)
        diary.append("born")

    def started(self) -> None:
        self.seen.append("started")

    async def restarting(self, error: Exception) -> None:
        await asyncio.sleep(0)
        self.seen.append(("restarting", str(error)))

    async def stopped(self) -> None:
        await asyncio.sleep(0)
        self.seen.append("stopped")


def supervised(directive: Directive | None = None, **rules: Any) -> ActorOptions:
    if directive is not None:
        rules["decide"] = lambda _: directive
    return ActorOptions(supervision=Supervision(**{"backoff": 0.0, **rules}))


def difficult(failures: int, make: Callable[[], Actor], *, at: str = "started") -> Callable[[], Actor]:
    """A factory whose first so many actors are not born, or do not start."""
    left = failures

    def factory() -> Actor:
        nonlocal left
        left -= 1
        if at == "birth" and left >= 0:
            raise ConnectionError("no database")
        actor = make()
        if left >= 0:

            async def started() -> None:
                await asyncio.sleep(0)
                raise ConnectionError("no database")

            actor.started = started  # type: ignore[method-assign]
        return actor

    return factory


class Calls(Actor):
    """Calls what it is told: the message is a function, plain or not."""

    def receive(self, message: Callable[[Actor], Any]) -> Any:
        return message(self)


class CallsLater(Actor):
    """As Calls; what the function returns may be awaited."""

    async def receive(self, message: Any) -> Any:
        result = message(self)
        return await result if hasattr(result, "__await__") else result


def future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


async def turns(count: int = 25) -> None:
    """Lets the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def asked(ref: ActorRef, message: Any, timeout: float = 5.0) -> "asyncio.Task[Any]":
    return asyncio.create_task(ref.ask(message, timeout))


Register = Callable[..., None]
"""Registers `Order` as a kind: `max_active`, and an actor's options."""


class Order(Actor):
    """Counts its activations and who is active at once; does what it is told."""

    active: dict[str, int] = {}  # noqa: RUF012 - the count over all of a test's: `orders` empties it
    most = 0
    activations: list[str] = []  # noqa: RUF012 - as above
    slow = False

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[Any] = []

    async def started(self) -> None:
        Order.active[self.key] = Order.active.get(self.key, 0) + 1
        Order.most = max(Order.most, Order.active[self.key])
        Order.activations.append(self.key)
        await asyncio.sleep(0)

    async def stopped(self) -> None:
        await asyncio.sleep(0)
        Order.active[self.key] -= 1

    async def receive(self, message: Any) -> Any:
        if callable(message):
            result = message(self)
            return await result if asyncio.iscoroutine(result) else result
        self.seen.append(message)
        return list(self.seen)
