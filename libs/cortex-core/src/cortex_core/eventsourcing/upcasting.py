"""Upcasting: events in the words of an older schema are read in those of today. What is stored never changes.

Owns the chains of steps from every old version of a type to its newest, and promises at construction that each chain
arrives: no gap, no cycle. An event keeps its place whatever becomes of it, so that positions and versions stay what
the store says: one step makes one event of one event. Refuses to guess: a version newer than any step knows passes
untouched, for the reader to judge. The pattern: G. Young, *Versioning in an Event Sourced System* (2017), "Upcasting".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cortex_core.eventsourcing.errors import CorruptEvent
from cortex_core.eventsourcing.records import RecordedEvent

DROPPED: Final = "dropped"
"""The type of an event that its reader is to pass over: it has a position and a version, and no data."""

Change = Callable[[dict[str, Any]], Mapping[str, Any]]
"""The data of one version into the data of the next. It may change what it is given: the data is its own copy."""

_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Upcast:
    """`change` makes version `version + 1` of `version`."""

    type: str
    version: int
    change: Change

    @property
    def target(self) -> _Key:
        return self.type, self.version + 1


@dataclass(frozen=True, slots=True)
class Rename:
    """Version `version` of `type` is read as version `to_version` of `to_type`, its data changed where need be."""

    type: str
    version: int
    to_type: str
    to_version: int = 1
    change: Change = dict

    @property
    def target(self) -> _Key:
        return self.to_type, self.to_version


@dataclass(frozen=True, slots=True)
class Drop:
    """The event means nothing any more: read as `DROPPED`, without data, in its place."""

    type: str
    version: int

    @property
    def target(self) -> _Key:
        return DROPPED, self.version

    @staticmethod
    def change(_data: dict[str, Any]) -> Mapping[str, Any]:
        return {}


Step = Upcast | Rename | Drop


class Upcasters:
    """All steps of a store. Given to `open_event_store(upcasters=…)`, it is applied by `read` and `read_all`.

    Raises ValueError where two steps begin at the same version, where a version below a type's newest has no step (a
    gap; versions begin at 1, or where a `Rename` arrives), and where steps lead in a circle.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps: dict[_Key, Step] = {}
        for step in steps:
            if step.version < 1 or step.target[1] < 1:
                raise ValueError(f"steps: versions begin at 1, not as in {step}")
            if (step.type, step.version) in self._steps:
                raise ValueError(f"steps: two begin at version {step.version} of {step.type}")
            self._steps[step.type, step.version] = step
        self._refuse_gaps()
        self._chains = {start: self._chain(start) for start in self._steps}

    def apply(self, event: RecordedEvent) -> RecordedEvent:
        """The event in today's words; itself where no step begins at its version. Raises CorruptEvent, naming the row,
        where a step fails or makes anything but an object."""
        chain = self._chains.get((event.type, event.schema_version))
        if chain is None:
            return event
        data: Mapping[str, Any] = event.data
        for step in chain:
            data = _changed(event, step, data)
        kind, version = chain[-1].target
        return replace(event, type=kind, schema_version=version, data=data)

    def _refuse_gaps(self) -> None:
        arrivals = {step.target for step in self._steps.values() if step.target[0] != DROPPED}
        renamed = {step.target for step in self._steps.values() if isinstance(step, Rename)}
        known = arrivals | self._steps.keys()
        for kind in {kind for kind, _ in known}:
            versions = {version for each, version in known if each == kind}
            lowest = min(versions) if (kind, min(versions)) in renamed else 1
            for version in range(lowest, max(versions)):
                if (kind, version) not in self._steps:
                    raise ValueError(f"steps: none begins at version {version} of {kind}, though there is a newer one")

    def _chain(self, start: _Key) -> list[Step]:
        chain = [self._steps[start]]
        while chain[-1].target in self._steps:
            chain.append(self._steps[chain[-1].target])
            if len(chain) > len(self._steps):
                raise ValueError(f"steps: from version {start[1]} of {start[0]} they lead in a circle")
        return chain


def _changed(event: RecordedEvent, step: Step, data: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        changed: Any = step.change(dict(data))
    except Exception as error:  # whatever data of long ago does to the step: this row is named, and no other suffers
        reason = f"version {step.version} of {step.type} cannot be upcast: {type(error).__name__}: {error}"
        raise CorruptEvent(event.tenant, event.stream, event.version, reason) from error
    if not isinstance(changed, Mapping):
        reason = f"upcasting version {step.version} of {step.type} made no object"
        raise CorruptEvent(event.tenant, event.stream, event.version, reason)
    return dict(changed)
