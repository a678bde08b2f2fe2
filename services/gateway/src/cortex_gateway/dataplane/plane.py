"""The parts of the express lane, as wiring puts them together. Next: `protocol.py` uses them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cortex_core.chassis.drain import Drain
from cortex_core.kernel import Principal
from cortex_core.security.memo import Known
from cortex_gateway.dataplane.dues import Tollgate
from cortex_gateway.dataplane.filling import Fills
from cortex_gateway.dataplane.heads import Heads
from cortex_gateway.dataplane.reading import Reader
from cortex_gateway.dataplane.records import Records
from cortex_gateway.dataplane.table import Entry, ExpressTable
from cortex_gateway.domain.policy_header import NAME, policy_of
from cortex_gateway.ports import Carrier, Head
from cortex_gateway.routes import Route

Fields = Sequence[tuple[bytes, bytes]]


class Encoding(Protocol):
    """See `dataplane.encoding`."""

    coding: str | None
    length: int | None

    @property
    def fields(self) -> bytes: ...
    def whole(self, body: bytes) -> bytes: ...
    def write(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...
    def close(self) -> None: ...


class Encoder(Protocol):
    @property
    def untouched_below(self) -> int: ...
    def begin(
        self, accept_encoding: bytes | None, head: Head, method: bytes, *, held: bytes = b"", old: bool = False
    ) -> Encoding | None: ...


class Recurring(Protocol):
    """See `dataplane.recurring`."""

    def unasked(self, head: Head) -> Head: ...
    def encoded(self, accept_encoding: bytes, head: Head, body: bytes) -> tuple[bytes, bytes] | None: ...


class HotAnswer(Protocol):
    status: int
    length: int

    def write(self, fields: bytes) -> bytes: ...


class HotAnswers(Protocol):
    def find(
        self,
        route: Route,
        target: bytes,
        tenant: str,
        headers: Fields,
        *,
        head: bool = False,
        collapsed: bool = False,
    ) -> HotAnswer | None: ...


class Epoch(Protocol):
    """See `security.Memo`."""

    generation: int
    monotonic: Callable[[], float]


Changed = Callable[[str, str, str], object]


@dataclass(frozen=True, slots=True)
class DataPlane:
    """`recall` says who asks where that is known already, and until when that holds for one `epoch`; `signed` gives
    what services are told of somebody (None: nothing). `cache` is what `Cache-Status` calls us, empty where nothing is
    kept. `recurring` is there where `encoder` is, for answers that come whole. One of fewer bytes than
    `untouched_below` passes as it is: nothing is compressed, or said of that. `changed` hears of a successful unsafe
    request: tenant, method, public path. `now` is in Unix seconds. `everywhere` are lines that every answer has. Once
    `drain` has begun nothing is answered here: the application says that connections end."""

    table: ExpressTable
    reader: Reader
    carrier: Carrier
    heads: Heads
    records: Records
    recall: Callable[[Fields], Known | None]
    epoch: Epoch
    signed: Callable[[Principal], bytes] | None = None
    gate: Tollgate | None = None
    hot: HotAnswers | None = None
    fills: Fills | None = None
    encoder: Encoder | None = None
    recurring: Recurring | None = None
    cache: bytes = b""
    untouched_below: int = 0
    now: Callable[[], float] = time.time
    local_fields: bytes = b"content-type: application/json\r\n"
    everywhere: bytes = b""
    shows_policy: bool = False
    changed: Changed | None = None
    drain: Drain = field(default_factory=Drain)

    def find_hot(
        self, entry: Entry, target: bytes, principal: Principal, headers: Fields, *, collapsed: bool = False
    ) -> HotAnswer | None:
        if self.hot is None or entry.route is None:
            return None
        return self.hot.find(entry.route, target, principal.tenant, headers, head=entry.head, collapsed=collapsed)

    def told(self, entry: Entry, principal: Principal, cache: bytes, rate: str = "none") -> bytes:
        """The lines that every answer of this kind has, refusals among them. `cache` is what came of that,
        `rate` the name of the limit that it counts against."""
        route = entry.route
        if route is None or not self.shows_policy:
            return self.everywhere
        known = (principal.method, cache, rate)
        line = entry.memo.get(known)
        if line is None:
            about = policy_of(route, entry.verb, "express", principal.method, cache.decode(), rate)
            line = entry.memo[known] = b"%b%b: %b\r\n" % (self.everywhere, NAME, about)
        return line
