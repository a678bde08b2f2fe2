from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from cortex_core.eventsourcing.sql import SqlEventStore, schema
from cortex_core.eventsourcing.sql.migrating import CORE

POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def test_every_table_can_be_made_in_postgresql() -> None:
    rendered = "\n".join(str(CreateTable(table).compile(dialect=POSTGRES)) for table in schema.metadata.sorted_tables)

    assert "position BIGSERIAL NOT NULL" in rendered
    assert 'stream TEXT COLLATE "C" NOT NULL' in rendered
    assert "time TIMESTAMP WITH TIME ZONE NOT NULL" in rendered
    assert "payload BYTEA NOT NULL" in rendered


def test_only_what_is_unsent_is_indexed_in_postgresql_too() -> None:
    schema.index_for_postgresql()
    [index] = schema.outbox.indexes

    assert "WHERE sent_at IS NULL" in str(CreateIndex(index).compile(dialect=POSTGRES))


def test_postgresql_has_what_reading_without_gaps_will_need() -> None:
    schema.index_for_postgresql()
    [index] = schema.events.indexes

    assert "(transaction_id, position)" in str(CreateIndex(index).compile(dialect=POSTGRES))


def test_the_first_migration_renders_for_postgresql(capsys: pytest.CaptureFixture[str]) -> None:
    [file] = CORE.glob("core_0001*.py")
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True})
    names: dict[str, object] = {}
    with Operations.context(context):
        exec(compile(file.read_text(), str(file), "exec"), names)
        names["upgrade"]()  # type: ignore[operator]  # it is the file's function

    rendered = capsys.readouterr().out
    for table in schema.metadata.sorted_tables:
        assert " ".join(str(CreateTable(table).compile(dialect=POSTGRES)).split()) in " ".join(rendered.split())
    assert "CREATE INDEX events_transaction_position ON events (transaction_id, position) WHERE" in rendered
    assert "CREATE INDEX outbox_unsent ON outbox (sequence) WHERE sent_at IS NULL;" in rendered


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
