"""Misses of cached routes: the first one to ask fetches the answer and keeps it, whoever asks meanwhile waits for that.

Owns who waits for whom, and for how long. What may be kept, and under which names, is the cache's (`Filler`); what was
kept is answered by the hot answers' rules, so that nobody is given an answer that was asked for before an event. Who
gets none that way asks by himself. Refuses conditions, directives, HEAD and deadlines: those are the application's.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from cortex_core.asgi.http_cache import Filler, Filling
from cortex_core.chassis import UpstreamTimeout
from cortex_core.kernel import CortexError, Principal, use_context
from cortex_gateway.dataplane.hot import NOT_FOR_US
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.table import Entry

Place = tuple[str, bytes]  # tenant and target

_UNFIT: Final = NOT_FOR_US | {b"if-none-match"}


class Waiting(Protocol):
    """A request that waits for another's answer."""

    def look(self, *, again: bool, error: CortexError | None = None) -> None:
        """There is something kept, or nothing to wait for. `again`: it may be fetched for all once more (whoever did
        has left, an event came in between, the service failed). `error`: how it failed."""
        ...


class Fill:
    """One fetch. `begin` before its request goes out, `settle` once at its end, whatever that is."""

    def __init__(self, fills: "Fills", place: Place, filling: Filling) -> None:
        self.filling = filling
        self._fills = fills
        self._place = place
        self._waiting: list[Waiting] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._fills.patience, self._release)

    def settle(self, *, left: bool = False, outdated: bool = False, error: CortexError | None = None) -> None:
        """`left`: its client has gone, and the answer with him. `outdated`: an event came in between. `error`: the
        service failed, so that not all who wait ask it at once, and nobody waits for it twice as long as he may."""
        self._fills.over(self._place, self)
        in_no_time = error is not None and not isinstance(error, UpstreamTimeout)
        self._release(again=left or outdated or in_no_time, error=error)

    def _release(self, *, again: bool = False, error: CortexError | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        for each in waiting:
            loop.call_soon(partial(each.look, again=again, error=error))


class Fills:
    """`filler` is made of the parts of the application's cache."""

    def __init__(self, filler: Filler) -> None:
        self.patience = filler.patience
        self.answered = filler.answered
        self._filler = filler
        self._under_way: dict[Place, Fill] = {}

    def begin(
        self,
        entry: Entry,
        target: bytes,
        principal: Principal,
        reading: Reading,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> Filling | None:
        """None: it is the application's."""
        if entry.head or reading.left is not None or not _is_plain(reading):
            return None
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "cortex.route": entry.template,
        }
        with use_context(tenant=principal.tenant, principal=principal):
            return self._filler.begin(scope)

    def under_way(self, tenant: str, target: bytes) -> Fill | None:
        return self._under_way.get((tenant, target))

    def take(self, tenant: str, target: bytes, filling: Filling) -> Fill:
        """The fetch of an address that nobody fetches now."""
        fill = self._under_way[tenant, target] = Fill(self, (tenant, target), filling)
        return fill

    def over(self, place: Place, fill: Fill) -> None:
        if self._under_way.get(place) is fill:
            del self._under_way[place]


def _is_plain(reading: Reading) -> bool:
    """Whether nothing in it asks more of a cache than an answer."""
    if reading.plain is None:
        reading.plain = not any(name in _UNFIT for name, _ in reading.headers)
    return reading.plain
