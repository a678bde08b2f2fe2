"""Readers tell a gap that will be filled from one that will not by the locks of writers: rows need no transaction's
number for that. Why: docs/adr, "Positions without gaps"."""

from alembic import op

revision = "core_0002"
down_revision = "core_0001"


def upgrade() -> None:
    op.drop_index("events_transaction_position", "events")
    op.drop_column("events", "transaction_id")
    op.drop_column("checkpoints", "transaction_id")
