"""The tables of the event store: the layout the migrations in `../migrations` make, column by column.

Owns the types that keep it portable between SQLite and PostgreSQL. A service's own tables belong into a MetaData of
its own; `Timestamp` and `Key` are there for it too. Tables are STRICT in SQLite: a column holds its type or the
write fails. What each column is for: docs/adr, "The event store's tables".
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from cortex_core.kernel.clock import parse_rfc3339, rfc3339


class Timestamp(TypeDecorator[datetime]):
    """An aware moment: `timestamptz` in PostgreSQL; in SQLite RFC 3339 text in UTC, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no UTC offset")
        return rfc3339(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        return parse_rfc3339(value) if isinstance(value, str) else value.astimezone(UTC)


class Key(TypeDecorator[str]):
    """Text that is compared: by its bytes on both databases, whatever the server's locale thinks of alphabets."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text(collation="C") if dialect.name == "postgresql" else Text()


# In SQLite every INTEGER has 64 bits, only INTEGER PRIMARY KEY counts up by itself, and a STRICT table knows no BIGINT.
Whole: Final = BigInteger().with_variant(Integer(), "sqlite")


class raw(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it stands for
    """A text column as its bytes, undecoded, where the driver would refuse a whole result for one broken row."""

    name = "raw"
    inherit_cache = True


@compiles(raw, "sqlite")
def _compile_raw_sqlite(element: raw, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BLOB)"


@compiles(raw, "postgresql")
def _compile_raw_postgresql(element: raw, compiler: Any, **options: Any) -> str:
    """The function that sends text to clients: convert_to would look at every byte, and refuse."""
    (column,) = element.clauses
    compiled = str(compiler.process(element.clauses, **options))
    return compiled if isinstance(column.type, Timestamp) else f"textsend({compiled})"


metadata: Final = MetaData()

events: Final = Table(
    "events",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=True),
    Column("tenant", Key, nullable=False),
    Column("stream", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("id", Key, nullable=False),
    Column("type", Key, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("time", Timestamp, nullable=False),
    Column("data", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("epoch", Whole, nullable=False, server_default="0"),
    UniqueConstraint("tenant", "stream", "version", name="events_tenant_stream_version"),
    UniqueConstraint("id", name="events_id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("sequence", Whole, primary_key=True, autoincrement=True),
    Column("id", Key, nullable=False),
    Column("tenant", Key, nullable=False),
    Column("topic", Key, nullable=False),
    Column("subject", Key, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("sent_at", Timestamp),
    Column("batch", Whole),
    UniqueConstraint("id", name="outbox_id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
_unsent: Final = outbox.c.sent_at.is_(None)
_by_waiting: Final = Index("outbox_unsent", outbox.c.sequence, sqlite_where=_unsent)
_sent: Final = outbox.c.batch.is_not(None)
_by_batch: Final = Index("outbox_sent", outbox.c.batch, outbox.c.sequence, sqlite_where=_sent)

inbox: Final = Table(
    "inbox",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("consumer", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("time", Timestamp, nullable=False),
    Index("inbox_time", "time"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

snapshots: Final = Table(
    "snapshots",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("stream", Key, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("time", Timestamp, nullable=False),
    Column("state", Text, nullable=False),
    sqlite_strict=True,
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("projection", Key, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("stage", Key, nullable=False),
    Column("position", Whole, nullable=False),
    Column("logic", Integer, nullable=False, server_default="1"),
    Column("updated_at", Timestamp, nullable=False),
    sqlite_strict=True,
)

parked: Final = Table(
    "parked",
    metadata,
    Column("projection", Key, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Key, primary_key=True),
    Column("stream", Key, primary_key=True),
    Column("position", Whole, nullable=False),
    Column("code", Key, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time", Timestamp, nullable=False),
    sqlite_strict=True,
)

leases: Final = Table(
    "leases",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("epoch", Whole, nullable=False),
    Column("holder", Key),
    Column("expires_at", Timestamp),
    sqlite_strict=True,
)


def index_for_postgresql() -> None:
    """The partial index's condition as PostgreSQL's. Not declared with the index: naming the dialect there would import
    it, a tenth of a second at every start of a service that uses SQLite."""
    _by_waiting.dialect_options["postgresql"]["where"] = _unsent
    _by_batch.dialect_options["postgresql"]["where"] = _sent
