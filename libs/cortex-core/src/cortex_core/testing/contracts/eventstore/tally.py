"""A projection that forgives nothing: of each stream the numbers it was given, in the order it was given them. What is
applied twice, left out, or out of order shows. In memory and in SQL; the contract's tests see only `Tally`."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

from cortex_core.eventsourcing import MemoryTransaction, Projection, RecordedEvent

Rows = dict[str, list[int]]
"""Numbers by `tenant/stream`."""

DROP_AT_ONCE: Final = 3


class Tally(Projection[Any], Protocol):
    """See the module. `faults` raises what is under an event's number, `version` and `handles` can be set."""

    version: int
    handles: Sequence[str] | None
    faults: dict[int, Exception]

    async def rows(self, generation: int) -> Rows: ...


class MemoryTally:
    """Its rows follow the memory store's commits."""

    name = "tally"

    def __init__(self) -> None:
        self.version = 1
        self.handles: Sequence[str] | None = ["order.created"]
        self.faults: dict[int, Exception] = {}
        self._rows: dict[int, Rows] = {}

    async def begin(self, transaction: MemoryTransaction, generation: int) -> None:
        transaction.effects.append(lambda: self._rows.update({generation: {}}))

    async def apply(self, transaction: MemoryTransaction, generation: int, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            transaction.effects.append(partial(self._add, generation, event))
            fail_if_asked(self.faults, event)

    async def drop(self, transaction: MemoryTransaction, generation: int) -> bool:
        doomed = list(self._rows.get(generation, {}))[:DROP_AT_ONCE]
        transaction.effects.extend(partial(self._remove, generation, each) for each in doomed)
        return len(doomed) == DROP_AT_ONCE

    async def rows(self, generation: int) -> Rows:
        return json.loads(json.dumps(self._rows.get(generation, {})))  # type: ignore[no-any-return]  # a copy of Rows

    def _add(self, generation: int, event: RecordedEvent) -> None:
        self._rows[generation].setdefault(f"{event.tenant}/{event.stream}", []).append(event.data["number"])

    def _remove(self, generation: int, stream: str) -> None:
        del self._rows[generation][stream]


def fail_if_asked(faults: dict[int, Exception], event: RecordedEvent) -> None:
    if event.data["number"] in faults:
        raise faults[event.data["number"]]
