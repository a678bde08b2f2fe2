"""The event store's tables. What each column is for: docs/adr, "The event store's tables"."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql.schema import Key, Timestamp, Whole

revision = "core_0001"
down_revision = None


def upgrade() -> None:
    _events()
    _outbox_and_inbox()
    _projections_and_leases()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("position", Whole, primary_key=True, autoincrement=True),
        sa.Column("tenant", Key, nullable=False),
        sa.Column("stream", Key, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("id", Key, nullable=False),
        sa.Column("type", Key, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("time", Timestamp, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("epoch", Whole, nullable=False, server_default="0"),
        sa.Column("transaction_id", Whole),
        sa.UniqueConstraint("tenant", "stream", "version", name="events_tenant_stream_version"),
        sa.UniqueConstraint("id", name="events_id"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "events_transaction_position",
        "events",
        ["transaction_id", "position"],
        sqlite_where=sa.text("transaction_id IS NOT NULL"),
        postgresql_where=sa.text("transaction_id IS NOT NULL"),
    )


def _outbox_and_inbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("sequence", Whole, primary_key=True, autoincrement=True),
        sa.Column("id", Key, nullable=False),
        sa.Column("tenant", Key, nullable=False),
        sa.Column("topic", Key, nullable=False),
        sa.Column("subject", Key, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("sent_at", Timestamp),
        sa.UniqueConstraint("id", name="outbox_id"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index("outbox_unsent", "outbox", ["sequence"], sqlite_where=unsent, postgresql_where=unsent)
    op.create_table(
        "inbox",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("consumer", Key, primary_key=True),
        sa.Column("event_id", Key, primary_key=True),
        sa.Column("time", Timestamp, nullable=False),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _projections_and_leases() -> None:
    op.create_table(
        "snapshots",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("stream", Key, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("time", Timestamp, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "checkpoints",
        sa.Column("projection", Key, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("status", Key, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("transaction_id", Whole, nullable=False, server_default="0"),
        sa.Column("updated_at", Timestamp, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "leases",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("name", Key, primary_key=True),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("holder", Key),
        sa.Column("expires_at", Timestamp),
        sqlite_strict=True,
    )
