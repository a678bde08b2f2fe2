"""The list of orders becomes a projection: its rows are carried over as its first generation, and its checkpoint says
that they hold every event there is. `orders` stays for code of the release before, which may run beside this during a
roll-out; a later revision drops it.

For both to be of one moment nobody may write in between, or have an event still to commit below that position: on
PostgreSQL `events` is locked against writers until all of this is committed. In SQLite they take turns as it is."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql import Key, Timestamp

revision = "order_0003"
down_revision = "order_0002"

_COLUMNS = "tenant, order_id, customer_id, status, total, currency, version, created_at, reason"


def upgrade() -> None:
    op.create_table(
        "order_list",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
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
    op.create_index("order_list_status", "order_list", ["generation", "tenant", "status", "order_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("LOCK TABLE events IN SHARE MODE")
    op.execute(f"INSERT INTO order_list (generation, {_COLUMNS}) SELECT 1, {_COLUMNS} FROM orders")  # noqa: S608 - constants
    begun = sa.text(
        "INSERT INTO checkpoints (projection, generation, stage, position, updated_at)"
        " SELECT 'orders', 1, 'live', COALESCE(MAX(position), 0), :now FROM events"
    ).bindparams(sa.bindparam("now", datetime.now(UTC), Timestamp()))
    op.execute(begun)
