"""Which rule a path falls under: prefixes by whole segments, the longest decides. `/orders` is not `/ordersX`."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefixes(Generic[T]):
    """`rules` maps a path prefix to what holds under it; `default` holds elsewhere.

    `/orders` is itself and all below it, `/orders/` only what is below, `/` everything. Looking up costs one slice and
    one lookup for each length a prefix has, however many rules there are and however long the path is. Raises
    ValueError for a prefix that does not begin with `/`.
    """

    def __init__(self, rules: Mapping[str, T], default: T) -> None:
        for prefix in rules:
            if not prefix.startswith("/"):
                raise ValueError(f"a path prefix begins with '/': {prefix!r}")
        self._rules = dict(rules)
        self._lengths = sorted({len(prefix) for prefix in rules}, reverse=True)
        self._default = default

    def of(self, path: str) -> T:
        """What holds for `path`, as ASGI gives it: decoded, without the query."""
        for length in self._lengths:
            prefix = path[:length]
            if prefix in self._rules and (prefix[-1] == "/" or path[length : length + 1] in ("", "/")):
                return self._rules[prefix]
        return self._default
