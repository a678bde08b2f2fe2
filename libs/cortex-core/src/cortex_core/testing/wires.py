"""A wire for the relay's tests: it keeps what it is given, and loses, refuses and swallows on request."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cortex_core.eventsourcing import Message


@dataclass
class FakeWire:
    """`eventsourcing.Wire` over a list. `down` is raised instead, while it is set; `deaf` publishes first, then raises:
    only the answer is lost."""

    batches: list[tuple[int, list[str]]] = field(default_factory=list)
    down: Exception | None = None
    deaf: Exception | None = None
    attempts: int = 0
    looks: int = 0
    refusals: int = 0
    heard: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """What it holds."""
        return [each for _, ids in self.batches for each in ids]

    @property
    def number(self) -> int:
        return self.batches[-1][0] if self.batches else 0

    async def last(self) -> int:
        self.looks += 1
        if self.down is not None:
            raise self.down
        return self.number

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        self.attempts += 1
        if self.down is not None:
            raise self.down
        if after != self.number:
            self.refusals += 1
            return self.number
        ids = [each.id for each in messages]
        self.batches.append((batch, ids))
        self.heard += ids
        if self.deaf is not None:
            raise self.deaf
        return batch

    def lose(self, batches: int) -> None:
        """The newest ones, as a bus does that comes back without its last second. What was heard was heard."""
        del self.batches[len(self.batches) - batches :]
