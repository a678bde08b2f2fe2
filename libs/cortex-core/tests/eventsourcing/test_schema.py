from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from cortex_core.eventsourcing.sql import SqlEventStore, schema

POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def test_every_table_can_be_made_in_postgresql() -> None:
    rendered = "\n".join(str(CreateTable(table).compile(dialect=POSTGRES)) for table in schema.metadata.sorted_tables)

    assert "position BIGSERIAL NOT NULL" in rendered
    assert 'stream TEXT COLLATE "C" NOT NULL' in rendered
    assert "time TIMESTAMP WITH TIME ZONE NOT NULL" in rendered
    assert "payload BYTEA NOT NULL" in rendered


def test_what_is_unsent_and_what_is_sent_have_an_index_each_in_postgresql_too() -> None:
    schema.index_for_postgresql()
    rendered = {each.name: str(CreateIndex(each).compile(dialect=POSTGRES)) for each in schema.outbox.indexes}

    assert "(sequence) WHERE sent_at IS NULL" in rendered["outbox_unsent"]
    assert "(batch, sequence) WHERE batch IS NOT NULL" in rendered["outbox_sent"]


async def test_a_timestamp_is_the_same_moment_in_utc(sql_store: SqlEventStore) -> None:
    table = Table("moments", MetaData(), Column("at", schema.Timestamp))
    moment = datetime(2026, 11, 23, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    async with sql_store.transaction() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table), [{"at": moment}, {"at": None}])
        first, second = (await connection.execute(select(table.c.at))).scalars()

    assert (first, first.tzinfo, second) == (moment, UTC, None)


async def test_text_of_timestamps_sorts_as_time_does(sql_store: SqlEventStore) -> None:
    table = Table("moments", MetaData(), Column("at", schema.Timestamp))
    start = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    moments = [start + timedelta(microseconds=n * 333_333) for n in range(7)]
    async with sql_store.transaction() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table), [{"at": each} for each in reversed(moments)])
        found = (await connection.execute(select(table.c.at).where(table.c.at > moments[2]).order_by("at"))).scalars()

        assert list(found) == moments[3:]


def test_a_moment_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        schema.Timestamp().process_bind_param(datetime(2026, 11, 23), POSTGRES)  # noqa: DTZ001 - that is the point
