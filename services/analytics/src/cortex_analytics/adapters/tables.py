"""The service's own tables, beside the event store's inbox in one database. Made by `migrations/`."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table

from cortex_core.eventsourcing.sql import Key

metadata: Final = MetaData()

# Orders of which one half is known: created and not ended (active), or, overtaken, ended and not created. An order of
# which both are known has no row, so the table is as large as the work in progress.
open_orders: Final = Table(
    "open_orders",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("order_id", Key, primary_key=True),
    Column("created", Boolean, nullable=False),
    Column("ended", Boolean, nullable=False),
)

totals: Final = Table(
    "totals",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("microseconds", BigInteger, nullable=False),  # the sum of the durations below
)

# The distribution, sparse: only cells with something in them have a row (`domain.Cell`).
durations: Final = Table(
    "durations",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("segment", Integer, primary_key=True, autoincrement=False),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("orders", BigInteger, nullable=False),
)
