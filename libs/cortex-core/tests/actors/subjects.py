"""The actors of the state machine, and the world that sees what they do."""

import asyncio
from collections import defaultdict
from typing import Any

from cortex_core.actors import (
    Actor,
    StashFull,
)


class Message:
    """One of a kind: `what` is done with it; `gate` lets it end."""

    def __init__(self, number: int, what: str, gate: "asyncio.Future[None] | None" = None) -> None:
        self.number = number
        self.what = what
        self.gate = gate
        self.was_aside = False


class World:
    """What has been seen of all actors, and what it must never be."""

    def __init__(self) -> None:
        self.alive: dict[str, int] = defaultdict(int)
        self.inside: dict[str, int] = defaultdict(int)
        self.received: list[Message] = []
        self.in_order: dict[str, list[int]] = defaultdict(list)
        self.dead: list[Message] = []
        self.refused: list[Message] = []
        self.restarted: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


class Subject(Actor):
    def __init__(self, world: World, key: str) -> None:
        self.world, self.key = world, key

    def started(self) -> None:
        self.world.alive[self.key] += 1
        self.world.check(self.world.alive[self.key] == 1, f"{self.key} is active twice")

    async def stopped(self) -> None:
        await asyncio.sleep(0)
        self.world.alive[self.key] -= 1

    async def restarting(self, error: Exception) -> None:
        await asyncio.sleep(0)
        self.world.alive[self.key] -= 1

    def receive(self, message: Message) -> Any:
        self.world.inside[self.key] += 1
        self.world.check(self.world.inside[self.key] == 1, f"{self.key} receives two at once")
        if message.gate is not None:
            return self.waits(message)
        try:
            return self.done(message)
        finally:
            self.world.inside[self.key] -= 1

    async def waits(self, message: Message) -> Any:
        try:
            await message.gate  # type: ignore[misc]  # there is one: right above
            return self.done(message)
        finally:
            self.world.inside[self.key] -= 1

    def done(self, message: Message) -> int:
        if message.what == "aside" and not message.was_aside:
            message.was_aside = True
            try:
                self.context.stash()
            except StashFull:
                self.world.received.append(message)
                raise
            return -1
        self.world.received.append(message)
        if not message.was_aside:
            self.world.in_order[self.key].append(message.number)
        if message.what == "boom":
            raise LookupError(message.number)
        if message.what == "back":
            self.context.unstash()
        if message.what == "leave":
            self.context.passivate()
        return message.number


class AsyncSubject(Subject):
    async def receive(self, message: Message) -> Any:
        result = super().receive(message)
        return await result if asyncio.iscoroutine(result) else result
