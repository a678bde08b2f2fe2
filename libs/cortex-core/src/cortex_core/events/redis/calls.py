"""Publications on their way, and the commands that carry them: what writer.py keeps in its queue, and what it sent."""

import asyncio
from collections.abc import Sequence
from typing import Final

from cortex_core.events.errors import MarkerMoved
from cortex_core.events.redis.commands import Mark, Publication
from cortex_core.events.redis.link import refusal
from cortex_core.events.redis.scripts import MOVED
from cortex_core.kernel.errors import CortexError

AT_ONCE: Final = 200  # events, and
BYTES_AT_ONCE: Final = 1 << 20  # in one Lua call: while it runs, Redis serves nobody else

Messages = Sequence[tuple[str, bytes]]


class Call:
    """One publication. `done` of its messages are written; `reach` is where the portion under way ends."""

    __slots__ = ("done", "expires", "future", "mark", "messages", "reach", "size", "weight")

    def __init__(self, messages: Messages, mark: Mark | None, expires: float) -> None:
        self.messages = messages
        self.mark = mark
        self.expires = expires
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done = 0
        if len(messages) == 1:
            self.reach, self.size = 1, len(messages[0][1])
            self.weight = self.size
        else:
            self.measure()
            self.weight = self.size if self.is_last() else sum(len(raw) for _, raw in messages)

    def measure(self) -> None:
        """The next portion: what fits in one command, at least one event."""
        self.reach, self.size = self.done, 0
        for _, raw in self.messages[self.done : self.done + AT_ONCE]:
            if self.reach > self.done and self.size + len(raw) > BYTES_AT_ONCE:
                break
            self.reach += 1
            self.size += len(raw)

    def is_last(self) -> bool:
        """Whether nothing is left after this portion."""
        return self.reach == len(self.messages)

    def refuse(self, reason: str) -> None:
        mark = self.mark
        if mark is not None and mark.after is not None and reason.startswith(MOVED):
            self.fail(MarkerMoved(mark.name, mark.after, int(reason[len(MOVED) :])))
        else:
            self.fail(refusal(reason))

    def fail(self, error: CortexError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Sent:
    """A command under way, and whose publications it carries."""

    __slots__ = ("calls", "publication")

    def __init__(self) -> None:
        self.publication = Publication()
        self.calls: list[Call] = []
