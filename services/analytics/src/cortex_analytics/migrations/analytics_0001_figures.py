"""The figures, by tenant, and the orders of which one half is known. See `adapters/tables.py`."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql import Key

revision = "analytics_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "open_orders",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("order_id", Key, primary_key=True),
        sa.Column("created", sa.Boolean, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
    )
    op.create_table(
        "totals",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.BigInteger, nullable=False),
        sa.Column("microseconds", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "durations",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
    )
