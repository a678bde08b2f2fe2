"""Which requests to place an order were carried out already. See `adapters/idempotency.py`."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql import Key, Timestamp

revision = "order_0002"
down_revision = "order_0001"


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("key", Key, primary_key=True),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("order_id", Key, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
    )
    op.create_index("idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
