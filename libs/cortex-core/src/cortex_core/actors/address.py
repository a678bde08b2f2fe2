"""Addresses and refs: who an actor is to everybody else, wherever it lives.

A ref has an address and a recipient. The recipient is what knows the way: today an actor of this process (cell.py), or
a virtual one that is activated on demand (kinds.py); an actor of another process later, behind the same two methods.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from cortex_core.actors.errors import InvalidAddress

if TYPE_CHECKING:
    from cortex_core.actors.hooks import Terminated

MAX_SEGMENT: Final = 200
ASK_TIMEOUT: Final = 5.0  # seconds
_SEGMENT: Final = re.compile(rf"[A-Za-z0-9_.:~@$+=-]{{1,{MAX_SEGMENT}}}", re.ASCII)


def segment(what: str, value: object) -> str:
    """`value`, if it can be a part of an address: 1 to 200 letters, digits and `_.:~@$+=-`. Raises InvalidAddress."""
    if not isinstance(value, str) or not _SEGMENT.fullmatch(value):
        raise InvalidAddress(f"{what} must be 1 to {MAX_SEGMENT} letters, digits and _.:~@$+=-, not {value!r:.300}")
    return value


@dataclass(frozen=True, slots=True)
class Address:
    """`system/path`: the path is a name and its children's (`mailer/smtp`), or a kind and an id (`order/ord_1`)."""

    system: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises InvalidAddress."""
        system, _, path = text.partition("/")
        for part in (system, *path.split("/")):
            segment("each part of an address", part)
        return cls(system, path)

    def __str__(self) -> str:
        return f"{self.system}/{self.path}"


class Recipient(Protocol):
    """Where a ref's messages go."""

    def tell(self, message: Any, sender: "ActorRef | None" = None) -> None:
        """See ActorRef.tell."""
        ...

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT, sender: "ActorRef | None" = None) -> Any:
        """See ActorRef.ask."""
        ...

    def watch(self, key: object, watcher: "Callable[[Terminated], object]") -> None:
        """Calls `watcher` once, when the actor is no more; at once where it is not."""
        ...

    def unwatch(self, key: object) -> None:
        """Forgets the watcher of that key. Harmless where there is none."""
        ...

    async def stopped(self) -> None:
        """Stops the actor after the message at hand, and returns when it is no more. Harmless where there is none."""
        ...


class ActorRef:
    """How an actor is reached. Refs are equal where their addresses are; they can be kept, compared and sent about.

    A ref belongs to its event loop's thread: from another one, `loop.call_soon_threadsafe(ref.tell, message)`.
    """

    __slots__ = ("_recipient", "address")

    def __init__(self, address: Address, recipient: Recipient) -> None:
        self.address = address
        self._recipient = recipient

    def tell(self, message: Any, sender: "ActorRef | None" = None) -> None:
        """Puts `message` into the actor's mailbox and goes on. Messages of one sender to one actor keep their order.

        The kernel context of the caller is current when the message is received. Raises MailboxFull where the mailbox
        is full and its policy is to refuse, SystemDraining for whoever comes from outside during a drain. To an actor
        that has stopped nothing is told: the message becomes a dead letter.
        """
        self._recipient.tell(message, sender)

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT, *, sender: "ActorRef | None" = None) -> Any:
        """What the actor's `receive` returns for `message`; what it raises is raised here too.

        Waits for `timeout` seconds (> 0), or as long as the context's deadline leaves. Raises AskTimeout; MailboxFull
        at once, whatever the mailbox's policy; ActorStopped; SystemDraining; AskSelf where the answer would have to
        wait for the asker. Whoever gives up asking leaves a message that has begun to its end, and takes back one that
        has not.
        """
        return await self._recipient.ask(message, timeout, sender)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __repr__(self) -> str:
        return f"ActorRef({str(self.address)!r})"


class DirectRef(ActorRef):
    """A ref whose `tell` is the recipient's own: the hottest of all paths has no frame of its own."""

    __slots__ = ("tell",)

    tell: Callable[..., None]  # the same by another way

    def __init__(self, address: Address, recipient: Recipient) -> None:
        super().__init__(address, recipient)
        self.tell = recipient.tell


def recipient_of(ref: ActorRef) -> Recipient:
    """The way to the actor: for this cog alone."""
    return ref._recipient
