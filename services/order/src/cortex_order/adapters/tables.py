"""The service's own tables, beside the event store's in the same database.

`order_list` is a projection: whatever it says can be said again from the events, generation beside generation.
`settlements` is not: it holds what no event may hold, the payment token, for as long as the payment is not settled;
`claimed_by` names the replica that has the order in hand, which the others leave alone until `due_at`. Nor is
`idempotency_keys`: what a request was called by its sender, and a digest of what it asked for.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

from cortex_core.eventsourcing.sql import Key, Timestamp

metadata: Final = MetaData()

order_list: Final = Table(
    "order_list",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Key, primary_key=True),
    Column("order_id", Key, primary_key=True),
    Column("customer_id", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("reason", Key),
    Index("order_list_status", "generation", "tenant", "status", "order_id"),
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
    Column("silent", Integer, nullable=False, server_default="0"),
    Column("claimed_by", Key),
    Index("settlements_due_at", "due_at"),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", Key, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("fingerprint", Key, nullable=False),
    Column("order_id", Key, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Index("idempotency_keys_expires_at", "expires_at"),
)
