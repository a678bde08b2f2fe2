"""Which request is for which route, for targets that need no decoding. Refuses to say why one is for none: the
application's table does (`routes.RouteTable`), and both are made of the same entries."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cortex_core.kernel import Principal
from cortex_gateway.dataplane.local import Local
from cortex_gateway.routes import PREFIX, Retry, Route, RouteTable

_SEGMENT: Final = rb"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,;=:@]+"  # RFC 3986's pchar, but nothing encoded
_QUERY: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]+")  # as `domain.target_of` leaves it
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A method of a route. `cut`: bytes of the target that a service does not see. `repeatable`: a request without a
    body may be sent to it twice. `memo` is for whoever prepares
    something for all requests of it (`records`)."""

    method: bytes
    verb: str
    template: str
    route: Route | None = None
    local: Local | None = None
    cut: int = 0
    head: bool = False
    safe: bool = True
    repeatable: bool = False
    memo: dict[Any, Any] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether its answers may be found in the cache."""
        return self.safe and self.route is not None and self.route.caching is not None

    def open_to(self, principal: Principal) -> bool:
        return self.route is None or self.route.requires is None or self.route.requires in principal.scopes


class ExpressTable:
    """`local` maps our own paths to what is said there."""

    def __init__(self, routes: RouteTable, local: Mapping[str, Local]) -> None:
        self._literal: dict[bytes, dict[bytes, Entry]] = {
            path.encode(): {method: _own(method, path, each) for method in (b"GET", b"HEAD")}
            for path, each in local.items()
        }
        self._shaped: list[dict[bytes, Entry]] = []
        patterns = []
        for template, by_method in routes:
            entries = {entry.method: entry for entry in _entries(template, by_method)}
            if "{" not in template:
                self._literal[template.encode()] = entries
                continue
            parts = re.split(r"\{[^}]*\}", template)
            patterns.append(_SEGMENT.join(re.escape(part.encode()) for part in parts))
            self._shaped.append(entries)
        self._pattern = re.compile(b"|".join(b"(" + each + b")" for each in patterns) or rb"(?!)")

    def find(self, method: bytes, target: bytes) -> Entry | None:
        """None: a target that is nobody's here, or has to be decoded first."""
        path, mark, query = target.partition(b"?")
        if mark and not _QUERY.fullmatch(query):
            return None
        by_method = self._literal.get(path)
        if by_method is None:
            match = self._pattern.fullmatch(path)
            if match is None or match.lastindex is None:
                return None
            by_method = self._shaped[match.lastindex - 1]
        return by_method.get(method)


def _own(method: bytes, path: str, local: Local) -> Entry:
    return Entry(method, method.decode(), path, local=local, head=method == b"HEAD")


def _entries(template: str, by_method: Mapping[str, Route]) -> Iterable[Entry]:
    cut = len(PREFIX) if template.startswith(f"{PREFIX}/") else 0
    for method, route in by_method.items():
        safe = method in {"GET", "HEAD"}
        repeatable = route.retry is Retry.IDEMPOTENT and method in _IDEMPOTENT
        yield Entry(
            method.encode(),
            method,
            template,
            route,
            cut=cut,
            head=method == "HEAD",
            safe=safe,
            repeatable=repeatable,
        )
