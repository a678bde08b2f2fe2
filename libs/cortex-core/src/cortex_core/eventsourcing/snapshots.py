"""Snapshots: the state of a stream as it was at a version, so that the events before it need not be read again.

A snapshot is a cache. Events are the truth: one that is missing, of another schema version, or damaged costs time and
nothing else. Owns their form at rest, JSON behind a digest over where it belongs and what it says, so that a flipped
bit, or a row that strayed to another stream, is noticed. Next: `aggregates.py` loads with them.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from cortex_core.eventsourcing.names import is_storable
from cortex_core.kernel.errors import CortexError, Kind

_log = logging.getLogger(__name__)

MAX_STATE: Final = 16 * 1024 * 1024
"""Bound of one snapshot's state, in bytes of JSON in UTF-8."""

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class UnstorableSnapshot(CortexError):
    """State that JSON in UTF-8 cannot say, or says in more than `MAX_STATE` bytes; or a stream no store can name."""

    code, kind = "event-store.unstorable-snapshot", Kind.UNPROCESSABLE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`state` is what the aggregate was after `version` events, in the shape that `schema_version` stands for."""

    stream: str
    version: int
    schema_version: int
    time: datetime
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SnapshotTrouble:
    """A snapshot that was passed over (`read`, `restore`) or could not be made (`save`). Nobody was refused for it."""

    stage: Literal["read", "restore", "save"]
    tenant: str
    stream: str
    version: int
    error: Exception


class OnSnapshotTrouble(Protocol):
    """It must be quick, and what it raises reaches whoever loads."""

    def __call__(self, details: SnapshotTrouble, /) -> None: ...


class Snapshots(Protocol):
    """Of the context's tenant. Contract: `testing.contracts.eventstore`. All raise EventStoreUnavailable."""

    async def save(self, stream: str, version: int, state: Mapping[str, Any], *, schema_version: int) -> None:
        """Replaces one of the same version. Durable when it returns. Raises UnstorableSnapshot, ValueError for a
        `version` below 1."""
        ...

    async def newest(
        self,
        stream: str,
        *,
        schema_version: int,
        at_or_below: int | None = None,
        on_trouble: OnSnapshotTrouble | None = None,
    ) -> Snapshot | None:
        """The one with the highest version, none above `at_or_below`, that is of `schema_version` and whole. Those that
        are damaged are passed over and told to `on_trouble` (default: logged)."""
        ...

    async def prune(self, stream: str, *, keep: int) -> int:
        """Deletes all but the newest `keep` (≥ 0), of whatever schema version. Returns how many that were."""
        ...


def seal(tenant: str, stream: str, version: int, schema_version: int, state: Mapping[str, Any]) -> str:
    """The state as it is stored. Raises UnstorableSnapshot, ValueError."""
    if version < 1:
        raise ValueError(f"version: a snapshot is of version 1 or later, not {version}")
    if not is_storable(stream):
        raise UnstorableSnapshot(f"no store takes the name {stream!r:.40}")
    try:
        text = _encode(state)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableSnapshot(f"the state of {stream} cannot be stored: {error}", stream=stream) from error
    if not isinstance(state, Mapping):
        raise UnstorableSnapshot(f"the state of {stream} is not an object", stream=stream)
    if size > MAX_STATE:
        raise UnstorableSnapshot(
            f"the state of {stream} has {size} bytes; {MAX_STATE} is the most", stream=stream, size=size
        )
    return f"{_digest(tenant, stream, version, schema_version, text)} {text}"


def unseal(tenant: str, stream: str, version: int, schema_version: int, sealed: str | bytes) -> dict[str, Any]:
    """The inverse of `seal`. Raises ValueError where it is not what was stored there."""
    written = sealed.decode() if isinstance(sealed, bytes) else sealed  # UnicodeDecodeError is a ValueError
    digest, _, text = written.partition(" ")
    if digest != _digest(tenant, stream, version, schema_version, text):
        raise ValueError("its digest does not match")
    state: dict[str, Any] = json.loads(text)
    return state


def _digest(tenant: str, stream: str, version: int, schema_version: int, text: str) -> str:
    place = json.dumps([tenant, stream, version, schema_version])
    return hashlib.blake2b(f"{place}{text}".encode(), digest_size=16).hexdigest()


def tell(on_trouble: OnSnapshotTrouble | None, details: SnapshotTrouble) -> None:
    """To the hook, or else to the log."""
    if on_trouble is not None:
        on_trouble(details)
        return
    _log.warning(
        "snapshot at version %d of %s passed over (%s): %s",
        details.version,
        details.stream,
        details.stage,
        details.error,
    )
