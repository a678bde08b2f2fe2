"""Batches: under which number a message was sent, so that the bus can be repaired; and what trimming goes by."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql.schema import Whole

revision = "core_0003"
down_revision = "core_0002"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("batch", Whole))
    op.execute("UPDATE outbox SET batch = 0 WHERE sent_at IS NOT NULL")  # sent before there were numbers
    sent = sa.text("batch IS NOT NULL")
    op.create_index("outbox_sent", "outbox", ["batch", "sequence"], sqlite_where=sent, postgresql_where=sent)
    op.create_index("inbox_time", "inbox", ["time"])
