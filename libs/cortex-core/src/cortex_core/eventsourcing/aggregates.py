"""Aggregates: the state of a stream by folding its events, from a snapshot where there is one.

Owns the rule that a snapshot never changes the answer: what is loaded is the fold of all events, with whatever
snapshots, damaged, outdated or absent (test_aggregates.py compares them). Owns the policy too: a load that had to fold
`every` events or more leaves a snapshot behind, so that the next one need not. Refuses to know what events mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from cortex_core.eventsourcing.records import RecordedEvent
from cortex_core.eventsourcing.snapshots import OnSnapshotTrouble, SnapshotTrouble, tell
from cortex_core.eventsourcing.store import EventStore
from cortex_core.eventsourcing.upcasting import DROPPED
from cortex_core.kernel.context import current

S = TypeVar("S")

_PAGE: Final = 1_000  # events a query: a stream of a million is folded, not held


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """`state` after `version` events; version 0 is a stream that never was."""

    state: S
    version: int


@dataclass(frozen=True, slots=True)
class SnapshotPolicy(Generic[S]):
    """How a state becomes a JSON object and back, and when that is worth it.

    `schema_version` names the shape of what `dump` makes: raise it with every change, and old snapshots are ignored.
    Raise it too where `fold` or an upcaster changes what the events before a snapshot amount to. `every` events folded
    make a snapshot (≥ 1), the newest `keep` a stream stay (≥ 1). `on_trouble` hears of those that were passed over, or
    could not be saved; without it the log does.
    """

    schema_version: int
    dump: Callable[[S], Mapping[str, Any]]
    restore: Callable[[Mapping[str, Any]], S]
    every: int = 200
    keep: int = 3
    on_trouble: OnSnapshotTrouble | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 1:
            raise ValueError(f"every and keep must be at least 1, not {self.every} and {self.keep}")


class Aggregates(Generic[S]):
    """Loads states of type `S`. `fold` returns the state after one more event; `initial` makes the one before any."""

    def __init__(
        self,
        store: EventStore[Any],
        *,
        initial: Callable[[], S],
        fold: Callable[[S, RecordedEvent], S],
        snapshots: SnapshotPolicy[S] | None = None,
    ) -> None:
        self._store = store
        self._initial = initial
        self._fold = fold
        self._policy = snapshots

    async def load(self, stream: str, *, version: int | None = None) -> Loaded[S]:
        """The stream of the context's tenant as it stands, or as it stood at `version` (at most: it may not have come
        that far yet). Raises CorruptEvent, EventStoreUnavailable, and what `fold` raises."""
        if version is not None and version < 0:
            raise ValueError(f"version: a stream begins at 0, not {version}")
        begun = await self._begin(stream, version)
        loaded = await self._go_on(stream, begun, version)
        if self._policy is not None and version is None and loaded.version - begun.version >= self._policy.every:
            await self._save(stream, loaded, self._policy)
        return loaded

    async def _begin(self, stream: str, version: int | None) -> Loaded[S]:
        policy, below = self._policy, version
        while policy is not None:
            found = await self._store.snapshots.newest(
                stream, schema_version=policy.schema_version, at_or_below=below, on_trouble=policy.on_trouble
            )
            if found is None:
                break
            try:
                return Loaded(policy.restore(found.state), found.version)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it: it is a cache, and an older one may do
                self._tell("restore", stream, found.version, error)
                below = found.version - 1
        return Loaded(self._initial(), 0)

    async def _go_on(self, stream: str, begun: Loaded[S], version: int | None) -> Loaded[S]:
        state, reached = begun.state, begun.version
        while version is None or reached < version:
            limit = _PAGE if version is None else min(_PAGE, version - reached)
            events = await self._store.read(stream, after=reached, limit=limit)
            for event in events:
                state = state if event.type == DROPPED else self._fold(state, event)
                reached = event.version
            if len(events) < limit:
                break
        return Loaded(state, reached)

    async def _save(self, stream: str, loaded: Loaded[S], policy: SnapshotPolicy[S]) -> None:
        snapshots = self._store.snapshots
        try:
            state = policy.dump(loaded.state)
            await snapshots.save(stream, loaded.version, state, schema_version=policy.schema_version)
            await snapshots.prune(stream, keep=policy.keep)
        except Exception as error:  # noqa: BLE001 - whoever loads has what was asked for: a snapshot is for the next one
            self._tell("save", stream, loaded.version, error)

    def _tell(self, stage: Any, stream: str, version: int, error: Exception) -> None:
        hook = self._policy.on_trouble if self._policy else None
        tell(hook, SnapshotTrouble(stage, current().tenant, stream, version, error))
