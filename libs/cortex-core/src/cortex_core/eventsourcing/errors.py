"""What can go wrong between a decision and its being durable."""

from cortex_core.kernel.errors import CortexError, Kind


class StaleVersion(CortexError):
    """Somebody was faster: the stream is not at the version the caller decided on. Read again, decide again."""

    code, kind = "event-store.stale-version", Kind.CONFLICT

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{stream} is at version {actual}, not {expected}", stream=stream, expected=expected, actual=actual
        )


class DuplicateId(CortexError):
    """An event or a message with this id is there already. Ids are unique for all time."""

    code, kind = "event-store.duplicate-id", Kind.CONFLICT


class UnstorableEvent(CortexError):
    """Data that JSON in UTF-8 cannot say: not-a-number, a lone surrogate, an object of one's own. Or a name, a schema
    version or a payload that some store cannot keep."""

    code, kind = "event-store.unstorable-event", Kind.UNPROCESSABLE


class EventTooLarge(CortexError):
    """More bytes than the store takes for one event or message."""

    code, kind = "event-store.event-too-large", Kind.TOO_LARGE


class CorruptEvent(CortexError):
    """What is stored is not what was written. The stream cannot be read past it; others are untouched. `position` is
    the row's, where the store has said it."""

    code, kind = "event-store.corrupt-event", Kind.INTERNAL
    position: int | None = None

    def __init__(self, tenant: str, stream: str, version: int, reason: str) -> None:
        super().__init__(
            f"version {version} of {stream} is corrupt: {reason}", tenant=tenant, stream=stream, version=version
        )


class EventStoreUnavailable(CortexError):
    """The database cannot do it now: full disk, I/O error, locked for too long, gone. Nothing was acknowledged."""

    code, kind = "event-store.unavailable", Kind.UNAVAILABLE


class UnusableDatabaseUrl(CortexError, ValueError):
    """The database's URL says nothing that we understand. It is not repeated: it may hold a password."""

    code, kind = "event-store.unusable-url", Kind.INTERNAL


class SchemaNotCurrent(CortexError):
    """The database's tables are older than this code, which is `awaited`: `db upgrade` is under way. Or they are
    somebody else's."""

    code, kind = "event-store.schema-not-current", Kind.INTERNAL
