"""A group: where it is in the logs, what waits for it, what is dead, and its members."""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from cortex_core.events.backlog import Backlog, Entry
from cortex_core.events.delivery import Burial, Worker
from cortex_core.events.hooks import GapDetails, SafeHooks
from cortex_core.events.log import DeadLetter, address
from cortex_core.events.memory.logs import Cursor, Kept, Log
from cortex_core.kernel.clock import Clock

HOLD: Final = 256  # entries a group takes from the logs ahead of its handlers


class Group:
    """What the members of a group share. A `Settle`."""

    def __init__(self, group: str, history: int, clock: Clock, hooks: SafeHooks) -> None:
        self.backlog: Final = Backlog(clock)
        self.dead: Final[deque[DeadLetter]] = deque(maxlen=history)
        self.members: Final[list[frozenset[str]]] = []  # the topics of each
        self._history: Final = history
        self._hooks: Final = hooks
        self._name: Final = group
        self._clock: Final = clock
        self._cursor: Final = Cursor()
        self._logs: Final[dict[str, tuple[Log, Log]]] = {}  # a topic's, and what comes again to this group alone
        self._buried = 0

    def join(self, logs: Collection[Log]) -> None:
        for log in logs:
            if log.topic not in self._logs:
                again = Log(log.topic, self._history, stream_again(log.topic))
                self._logs[log.topic] = log, again
                self._cursor.cover(log, 0)
                self._cursor.cover(again, 0)
        self.feed()

    def forget(self, topic: str) -> None:
        """No claim on `topic` any more, but what is at work; where a member lives, it begins anew."""
        for log in (logs := self._logs.pop(topic)):
            self._cursor.uncover(log)
        self.backlog.forget({log.stream for log in logs})
        if any(topic in topics for topics in self.members):
            self.join([logs[0]])

    def topics(self) -> list[str]:
        return sorted(self._logs)

    def again(self, topic: str, kept: Kept) -> None:
        """Brings an event to this group, and to it alone. Raises KeyError for a topic that it does not hear."""
        self._logs[topic][1].append(kept)
        self.feed()

    def waiting(self, topic: str) -> list[Kept]:
        return [kept for log in self._logs[topic] for kept in self._cursor.ahead(log)]

    def pending(self, topic: str) -> list[Entry]:
        return [entry for entry in self.backlog.entries() if entry.topic == topic]

    def feed(self) -> None:
        while len(self.backlog) < HOLD and (read := self._cursor.read()) is not None:
            entry, lost = read
            if lost:
                self._hooks.on_gap(GapDetails(entry.topic, entry.tenant, filled=0, lost=True))
            self.backlog.add(entry)

    def ack(self, entry: Entry) -> None:  # noqa: ARG002 - the role's signature
        self.feed()

    def retry(self, entry: Entry) -> None:
        """The backlog has it still."""

    def bury(self, entry: Entry, burial: Burial) -> None:
        self._buried += 1
        letter = DeadLetter(
            entry=address(entry.tenant, (self._buried, 0)),
            group=self._name,
            event=entry.event,
            raw=entry.raw,
            code=burial.code,
            reason=burial.reason,
            attempts=burial.attempts,
            time=self._clock.now(),
            topic=entry.topic,
            tenant=entry.tenant,
        )
        self.dead.append(letter)
        self.feed()


class Membership:
    """One member of a group."""

    def __init__(
        self, worker: Worker, group: Group, topics: frozenset[str], forget: "Callable[[Membership], None]"
    ) -> None:
        self._worker: Final = worker
        self._group: Final = group
        self._topics: Final = topics
        self._forget: Final = forget

    def start(self) -> None:
        self._group.members.append(self._topics)
        self._worker.start()

    def wake(self) -> None:
        """The group has been fed already."""

    async def aclose(self) -> None:
        await self._worker.aclose()
        if self._topics in self._group.members:
            self._group.members.remove(self._topics)
        self._forget(self)


def stream_again(topic: str) -> str:
    """The name of what comes again to one group. No topic has a colon."""
    return f"replay:{topic}"
