"""Answers in this process's memory: bounded in bytes, the least recently used go first. One a replica: an invalidation
has to reach every one of them."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import digest, variant
from cortex_core.asgi.http_cache.policy import whole_number
from cortex_core.asgi.http_cache.store import MAX_VARIANTS, Found, Put, Ticket
from cortex_core.kernel.clock import Clock, SystemClock

_SHORT: Final = 256  # characters of a tag whose digests are remembered
_MARKS: Final = 10_000  # invalidations remembered by digest; answers asked for before the oldest of them are not stored


@dataclass(slots=True)
class _Kept:
    answer: Answer
    until: float  # the clock's monotonic seconds


@dataclass(slots=True)
class _Key:
    """The answers of one key, which differ by the headers `vary`."""

    vary: tuple[str, ...]
    kept: dict[str, _Kept] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)  # the digests of those of its answers
    size: int = 0  # bytes, about: of its answers and of the key itself

    def keep(self, key: str, answer: Answer, until: float) -> None:
        """In the place of the answer of the same variant."""
        self.kept[digest(answer.variant)] = _Kept(answer, until)
        self.tags = {_tag_digest(tag) for each in self.kept.values() for tag in each.answer.tags}
        self.size = _size(key) + sum(each.answer.size for each in self.kept.values())


class MemoryCacheStore:
    """A `CacheStore`. `max_bytes` is of everything kept, about; an answer larger than that is not kept."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024, *, clock: Clock | None = None) -> None:
        whole_number("max_bytes", max_bytes, 1)
        self.max_bytes = max_bytes
        self._clock = clock or SystemClock()
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self._tagged: dict[str, set[str]] = {}
        self._size = 0
        self._epoch = 0
        self._floor = 0
        self._marks: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._keys)

    @property
    def size(self) -> int:
        """Bytes kept, about."""
        return self._size

    def holds(self, key: str, answer: Answer) -> bool:
        """Whether this very answer is (still) kept under `key`. To ask is to use it: it is among the last to go."""
        known = self._keys.get(key)
        if known is None:
            return False
        self._keys.move_to_end(key)
        return any(kept.answer is answer for kept in known.kept.values())

    async def get(self, key: str, headers: HeaderList) -> Found:
        return self.find(key, headers)

    def find(self, key: str, headers: HeaderList) -> Found:
        """`get`, for who cannot wait: nothing here ever does."""
        ticket = Ticket(self._epoch)
        known = self._keys.get(key)
        if known is None:
            return Found(None, ticket)
        self._keys.move_to_end(key)
        kept = known.kept.get(digest(variant(known.vary, headers)))
        if kept is None or kept.until <= self._clock.monotonic():
            return Found(None, ticket, known.vary, others=kept is None)
        return Found(kept.answer, ticket, known.vary)

    async def put(self, key: str, answer: Answer, ticket: Ticket, keep: float) -> Put:
        if ticket.epoch < self._floor or any(self._marks.get(name, 0) > ticket.epoch for name in _names(key, answer)):
            return Put.OUTDATED
        known = self._keys.get(key)
        if known is not None and (known.vary != answer.vary or len(known.kept) >= MAX_VARIANTS):
            self._drop(key)
            known = None
        if _size(key) + answer.size > self.max_bytes:
            self._drop(key)
            return Put.STORED  # as good as stored and pushed out at once
        if known is None:
            known = self._keys[key] = _Key(answer.vary)
        before, tags = known.size, known.tags
        known.keep(key, answer, self._clock.monotonic() + keep)
        self._size += known.size - before
        self._keys.move_to_end(key)
        self._untag(key, tags - known.tags)
        for tag in known.tags:
            self._tagged.setdefault(tag, set()).add(key)
        while self._size > self.max_bytes:
            self._drop(next(iter(self._keys)))
        return Put.STORED

    async def invalidate(self, *, keys: Collection[str] = (), tags: Collection[str] = ()) -> int:
        return self.purge(keys=keys, tags=tags)

    def purge(self, *, keys: Collection[str] = (), tags: Collection[str] = ()) -> int:
        """`invalidate`, for who cannot wait."""
        self._epoch += 1
        for name in (*map(_key_mark, keys), *map(_tag_mark, tags)):
            self._marks.pop(name, None)
            self._marks[name] = self._epoch
        while len(self._marks) > _MARKS:
            _, self._floor = self._marks.popitem(last=False)
        if not self._keys:
            return 0  # and yet nothing that was asked for before is kept
        doomed = {*keys, *(key for tag in tags for key in self._tagged.get(_tag_digest(tag), ()))}
        return sum(self._drop(key) for key in doomed)

    async def clear(self) -> None:
        self._epoch += 1
        self._floor = self._epoch
        self._marks.clear()
        self._keys.clear()
        self._tagged.clear()
        self._size = 0

    async def aclose(self) -> None:
        """Nothing is open."""

    def _drop(self, key: str) -> bool:
        known = self._keys.pop(key, None)
        if known is None:
            return False
        self._size -= known.size
        self._untag(key, known.tags)
        return True

    def _untag(self, key: str, tags: Collection[str]) -> None:
        for tag in tags:
            self._tagged[tag].discard(key)
            if not self._tagged[tag]:
                del self._tagged[tag]


def _size(key: str) -> int:
    return 64 + 4 * len(key)


def _names(key: str, answer: Answer) -> list[str]:
    return [_key_mark(key), *map(_tag_mark, answer.tags)]


def _key_mark(key: str) -> str:
    return digest(f"key {key}")


def _tag_mark(tag: str) -> str:
    return digest(f"tag {tag}") if len(tag) > _SHORT else _digests_of(tag)[0]


def _tag_digest(tag: str) -> str:
    return digest(tag) if len(tag) > _SHORT else _digests_of(tag)[1]


@lru_cache(maxsize=256)
def _digests_of(tag: str) -> tuple[str, str]:
    """Its mark and its digest. The tags of lists come with every change."""
    return digest(f"tag {tag}"), digest(tag)
