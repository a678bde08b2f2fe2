"""Precompressed: bodies that never change are compressed once, better than there is time for otherwise.

Bounded in bytes; the least recently used goes. An entry's key is a hash of the body and the coding: no ETag, no address
that could be wrong, and whoever has no right to a body cannot ask for it by its hash.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.compression.rules import listed, read
from cortex_core.asgi.types import Headers, Scope

Key = tuple[str, bytes]

_OVERHEAD: Final = 200  # bytes: an entry's key and its place, roughly


def immutable(scope: Scope, headers: Headers) -> bool:  # noqa: ARG001 - one predicate's signature
    """Whether the response says of itself that it will not change: `Cache-Control: immutable` (RFC 8246)."""
    return b"immutable" in listed(read(headers).get(b"cache-control", b""))


class Precompressed:
    """Holds at most `max_bytes`, bodies of at most `max_body` bytes, of responses for which `applies(scope, headers)`.

    Bodies are read whole before they are sent on, so `max_body` also bounds what one request may hold. Raises
    ValueError where not 0 < max_body <= max_bytes.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 16 << 20,
        max_body: int = 1 << 20,
        applies: Callable[[Scope, Headers], bool] = immutable,
    ) -> None:
        check_whole("max_bytes", max_bytes, unit="bytes")
        check_whole("max_body", max_body, unit="bytes")
        if max_body > max_bytes:
            raise ValueError(f"max_body must be at most max_bytes: {max_body}, {max_bytes}")
        self.max_body = max_body
        self.applies = applies
        self._max_bytes = max_bytes
        self._entries: dict[Key, bytes] = {}  # least recently used first
        self._making: set[Key] = set()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    @staticmethod
    def key(coding: str, body: bytes) -> Key:
        return coding, blake2b(body, digest_size=16).digest()

    def get(self, key: Key) -> bytes | None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._entries[key] = found
        return found

    def put(self, key: Key, encoded: bytes) -> None:
        """Keeps `encoded`, if it fits at all."""
        self._drop(key)
        weight = len(encoded) + _OVERHEAD
        if weight > self._max_bytes:
            return
        self._entries[key] = encoded
        self._size += weight
        while self._size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._size -= len(found) + _OVERHEAD

    def claim(self, key: Key) -> bool:
        """True for one caller until it calls `release`: the others need not do the same work meanwhile."""
        if key in self._making:
            return False
        self._making.add(key)
        return True

    def release(self, key: Key) -> None:
        self._making.discard(key)
