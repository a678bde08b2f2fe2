"""What the parts of the Redis bus ask of a connection: commands as words, replies as RESP2 brings them.

Refuses to know the client library: `cortex_core.events.redis` alone does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Final, Protocol

from cortex_core.events.backlog import EntryId
from cortex_core.events.errors import BusUnavailable

Word = str | bytes | int
BEGINNING: Final[EntryId] = (0, 0)


_ELSEWHERE: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS")


class Refused(BusUnavailable):
    """Redis answered with an error: what it stands on is not there (any more), or not yet."""


def refusal(text: str) -> Refused:
    """Without the arguments of a command the server does not know (AUTH renamed): one may be the password."""
    return Refused(f"Redis refused: {text.partition(', with args beginning with')[0]}")


def login_refusal(said: str) -> str:
    """Of what Redis says to AUTH, or to whoever should have sent one: whose mistake it is."""
    if "Authentication required" in said:
        return "Redis asks for a password"
    if "without any password" in said or "no password is set" in said:
        return "Redis has no password, and was given one"
    return "Redis refuses the user or the password"


def unusable(text: str) -> bool:
    """Whether an error says that this server is not, or not yet, the one we want: by now the name may lead to another.
    Redis 6.2 wraps a script's error in text of its own."""
    return any(word in text[:300] for word in _ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Script:
    """Lua, kept to Redis 6.2, sent by its digest where the server knows it."""

    text: str

    @property
    def digest(self) -> str:
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Wire(Protocol):
    """A connection of one owner. Opened by its first use, and again by the next one after any failure."""

    async def call(self, *words: Word, within: float) -> Any:
        """The reply. Raises BusUnavailable, also after `within` seconds."""
        ...

    async def send(self, *words: Word) -> None: ...

    async def receive(self, within: float) -> Any:
        """What comes next, or None when nothing came for `within` seconds."""
        ...

    async def aclose(self) -> None: ...


class Link(Protocol):
    """Redis, with bounded patience. Everything raises BusUnavailable."""

    async def batch(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """The replies to all of `commands`, in one round trip; a command's error is a Refused in its place."""
        ...

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any: ...

    def wire(self) -> Wire: ...


def parse_id(text: bytes | str) -> EntryId:
    """Raises ValueError."""
    milliseconds, _, sequence = (text if isinstance(text, str) else text.decode()).partition("-")
    return int(milliseconds), int(sequence)


def text_of(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


async def newest(link: Link, keys: Sequence[str]) -> dict[str, EntryId]:
    """Each stream's newest entry, also where that is deleted already; BEGINNING where there is no stream."""
    found = dict.fromkeys(keys, BEGINNING)
    for key, about in zip(keys, await link.batch([("XINFO", "STREAM", key) for key in keys]), strict=True):
        if not isinstance(about, Refused):
            found[key] = parse_id(dict(zip(about[::2], about[1::2], strict=True))[b"last-generated-id"])
        elif "no such key" not in about.message:
            raise about
    return found


def raise_first(replies: Sequence[Any]) -> None:
    """Raises the first error among the replies of a batch."""
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
