"""Where answers are kept: the role, and what an adapter promises. Contract: testing/contracts/httpcache.py.

The race that every store has to win: an answer that the application gave before an invalidation must not be stored
after it. So a reader takes a ticket with what it finds, and who stores brings the ticket of the reading that sent him
to the application: what has been invalidated since is refused. Tags need not be known before the answer is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.kernel.errors import CortexError, Kind

MAX_VARIANTS = 32  # answers a key; one more, and the key begins anew


class CacheUnavailable(CortexError):
    """The store did not answer. Requests go on without it; an invalidation has to be tried again."""

    code, kind = "http-cache.unavailable", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Ticket:
    """When something was read, in the store's own reckoning: invalidations so far, and of which life of the store."""

    epoch: int
    life: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """`answer` is the stored one for these request headers, fresh or not. `vary`: by what the key's answers differ, as
    far as is known. `others`: the key has answers, but none for these headers. `ticket` is None where the store did not
    answer: nothing can be stored then."""

    answer: Answer | None
    ticket: Ticket | None
    vary: tuple[str, ...] = ()
    others: bool = False


class Put(Enum):
    """What became of an answer that was to be stored."""

    STORED = "stored"
    OUTDATED = "outdated"  # it, or a tag of its, was invalidated since its ticket was taken
    UNAVAILABLE = "unavailable"


class CacheStore(Protocol):
    """Bounded in what it keeps and in how long it takes. `get` and `put` never raise: trouble is a miss."""

    async def get(self, key: str, headers: HeaderList) -> Found: ...

    async def put(self, key: str, answer: Answer, ticket: Ticket, keep: float) -> Put:
        """Keeps it for at most `keep` seconds (> 0), in the place of the key's answer of the same variant. Answers of
        the key that differ by other headers than this one go."""
        ...

    async def invalidate(self, *, keys: Collection[str] = (), tags: Collection[str] = ()) -> int:
        """All answers under `keys` and all that carry one of `tags` go, in one step; how many keys there were. What was
        asked for before is not stored any more. Raises CacheUnavailable."""
        ...

    async def clear(self) -> None:
        """Everything goes, as with `invalidate`. Raises CacheUnavailable."""
        ...

    async def aclose(self) -> None: ...
