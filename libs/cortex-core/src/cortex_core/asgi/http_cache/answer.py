"""An answer as it is kept: what came, when, and for which requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cortex_core.asgi.http_cache.directives import NONE, Directives, cache_control
from cortex_core.asgi.http_cache.fields import joined

HeaderList = Sequence[tuple[bytes, bytes]]
_ALONE: Final = 1_024  # bytes, as CPython 3.12 counts them: an answer without anything, and its place in a store
_FIELD: Final = 320
_NAME: Final = 448  # a tag is the costliest: it has an index of its own


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer to a GET. Names of `headers` are lower case; nothing in them belongs to one connection.

    `requested` and `received` are wall time in seconds since 1970: before the request went out, and when its answer's
    head came in. `assigned` is the lifetime in seconds that our own configuration gives where the answer names none.
    `vary` and `variant` say which requests it answers, `tags` by which names it can be invalidated, `route` which
    template it came from, for the access log. `surrogate`: `assigned` is its lifetime here, whatever it says of caches,
    which its clients go by.
    """

    status: int
    headers: HeaderList
    body: bytes
    requested: float
    received: float
    assigned: float = 0.0
    vary: tuple[str, ...] = ()
    variant: str = "[]"
    tags: tuple[str, ...] = field(default=())
    route: str = ""
    surrogate: bool = False

    def text(self, name: bytes) -> str | None:
        """The field `name` (lower case) as one list."""
        return joined(self.headers, name)

    @property
    def directives(self) -> Directives:
        """What it says to us: as a surrogate we have been told otherwise."""
        return NONE if self.surrogate else cache_control(self.text(b"cache-control"))

    @property
    def size(self) -> int:
        """Bytes that keeping it costs, about."""
        fields = sum(_FIELD + len(name) + 2 * len(value) for name, value in self.headers)  # once more, to be looked up
        names = sum(_NAME + 4 * len(name) for name in (*self.vary, *self.tags, self.variant, self.route))
        return _ALONE + len(self.body) + fields + names
