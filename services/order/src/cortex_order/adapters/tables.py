"""The service's own tables, beside the event store's in the same database.

`orders` is a projection: whatever it says can be said again from the events. `settlements` is not: it holds what no
event may hold, the payment token, for as long as the payment is not settled.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

from cortex_core.eventsourcing.sql import Key, Timestamp

metadata: Final = MetaData()

orders: Final = Table(
    "orders",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("order_id", Key, primary_key=True),
    Column("customer_id", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("reason", Key),
    Index("orders_tenant_status_order_id", "tenant", "status", "order_id"),
)

settlements: Final = Table(
    "settlements",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("order_id", Key, primary_key=True),
    Column("payment_token", Text, nullable=False),
    Column("due_at", Timestamp, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("waiting_since", Timestamp),
    Column("traceparent", Text),
    Index("settlements_due_at", "due_at"),
)
