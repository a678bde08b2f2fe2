"""Who has an order in hand, and how often the provider was silent about it. See `adapters/tables.py`."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql import Key

revision = "order_0004"
down_revision = "order_0003"


def upgrade() -> None:
    op.add_column("settlements", sa.Column("silent", sa.Integer, nullable=False, server_default="0"))
    op.add_column("settlements", sa.Column("claimed_by", Key))
