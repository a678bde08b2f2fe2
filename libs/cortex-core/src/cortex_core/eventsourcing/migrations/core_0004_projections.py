"""Checkpoints say by which logic they were made; what a projection has parked. Nothing wrote checkpoints before, so the
table is made anew instead of altered."""

import sqlalchemy as sa
from alembic import op

from cortex_core.eventsourcing.sql.schema import Key, Timestamp, Whole

revision = "core_0004"
down_revision = "core_0003"


def upgrade() -> None:
    op.drop_table("checkpoints")
    op.create_table(
        "checkpoints",
        sa.Column("projection", Key, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", Key, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("logic", sa.Integer, nullable=False, server_default="1"),
        sa.Column("updated_at", Timestamp, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "parked",
        sa.Column("projection", Key, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", Key, primary_key=True),
        sa.Column("stream", Key, primary_key=True),
        sa.Column("position", Whole, nullable=False),
        sa.Column("code", Key, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("time", Timestamp, nullable=False),
        sqlite_strict=True,
    )
