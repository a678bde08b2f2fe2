"""The files of each tenant, in the order in which they were stored."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql.schema import Key, Timestamp, Whole

revision = "storage_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("sequence", Whole, primary_key=True, autoincrement=True),
        sa.Column("tenant", Key, nullable=False),
        sa.Column("cid", Key, nullable=False),
        sa.Column("size", Whole, nullable=False),
        sa.Column("media_type", Key),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.UniqueConstraint("tenant", "cid", name="files_tenant_cid"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("files_tenant_sequence", "files", ["tenant", "sequence"])
