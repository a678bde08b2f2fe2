"""Orders as the list shows them, and the payments that are not settled yet. See `adapters/tables.py`."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql import Key, Timestamp

revision = "order_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("order_id", Key, primary_key=True),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("status", Key, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("currency", Key, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("reason", Key),
    )
    op.create_index("orders_tenant_status_order_id", "orders", ["tenant", "status", "order_id"])
    op.create_table(
        "settlements",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("order_id", Key, primary_key=True),
        sa.Column("payment_token", sa.Text, nullable=False),
        sa.Column("due_at", Timestamp, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("waiting_since", Timestamp),
        sa.Column("traceparent", sa.Text),
    )
    op.create_index("settlements_due_at", "settlements", ["due_at"])
