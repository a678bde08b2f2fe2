"""Publications as bytes: a command is packed once, by whoever sends it (RESP2,
https://redis.io/docs/latest/develop/reference/protocol-spec/).

Owns the form of the call that scripts.PUBLISH reads: for each event a tag and its JSON. The tag is the number of its
stream among the keys, below zero for the last event of a publication. A marker's number bears a sign: `?` with the
value at which it must stand comes first; `=` (if that is more) or `!` with its new one ends a publication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cortex_core.events.redis.link import Word
from cortex_core.events.redis.scripts import PUBLISH


def packed(*words: Word) -> bytes:
    """One command."""
    return b"*%d\r\n" % len(words) + b"".join(word(each) for each in words)


def word(value: Word) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


LOAD: Final = packed("SCRIPT", "LOAD", PUBLISH.text)
_HEAD: Final = word("EVALSHA") + word(PUBLISH.digest)
_tag: Final = lru_cache(maxsize=4_096)(word)


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker on its way: see `events.Marker`."""

    name: str
    key: str
    value: int
    after: int | None = None


class Publication:
    """One EVALSHA in the making: publications of several callers, in their order."""

    __slots__ = ("_keys", "_words", "events", "size")

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}
        self._words: list[bytes] = []
        self.events = 0
        self.size = 0  # bytes of JSON

    def add(self, messages: Sequence[tuple[str, bytes]], mark: Mark | None, *, size: int, last: bool = True) -> None:
        """One caller's events, `size` bytes of JSON in all, each with its stream's key. Not the `last` of them: the
        mark is not written yet. With neither events nor a mark nothing is added, and the reply would not count it."""
        words, keys = self._words, self._keys
        ends = len(messages) if mark is None or not last else 0
        if mark is not None and mark.after is not None:
            words.append(_tag(f"?{self._place(mark.key)}") + word(mark.after))
        for number, (key, raw) in enumerate(messages, 1):
            place = keys.get(key) or self._place(key)
            words.append(b"%b$%d\r\n%b\r\n" % (_tag(-place if number == ends else place), len(raw), raw))
        if mark is not None and last:
            sign = "=" if mark.after is None else "!"
            words.append(_tag(f"{sign}{self._place(mark.key)}") + word(mark.value))
        self.events += len(messages)
        self.size += size

    def _place(self, key: str) -> int:
        return self._keys.setdefault(key, len(self._keys) + 1)

    def key(self, number: int) -> str:
        """The key that the script knows by `number`."""
        return list(self._keys)[number - 1]

    def command(self, max_length: int) -> bytes:
        parts = [
            b"*%d\r\n" % (4 + len(self._keys) + 2 * len(self._words)),
            _HEAD,
            word(len(self._keys)),
            *map(word, self._keys),
            word(max_length),
            *self._words,
        ]
        return b"".join(parts)
