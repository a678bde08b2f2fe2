"""What the migrations make is what the code speaks of, on both databases."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from cortex_core.eventsourcing.sql import open_event_store, schema, upgrade
from cortex_core.testing import PostgresServer

TABLES = {table.name for table in schema.metadata.sorted_tables}

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), l.collname, a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
_CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""


async def in_sqlite(connection: AsyncConnection) -> dict[str, str]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    return {row.name: " ".join(row.sql.split()) for row in await connection.execute(text(query))}


async def in_postgresql(connection: AsyncConnection) -> set[tuple[object, ...]]:
    found = {
        tuple(row)
        for query in (_COLUMNS, _INDEXES, _CONSTRAINTS)
        for row in await connection.execute(text(query))
        if not row[0].startswith("alembic_version")
    }
    assert {row[0] for row in found} >= TABLES
    return found


async def test_the_tables_are_those_the_code_speaks_of(database_url: str, tmp_path: Path) -> None:
    async with open_event_store(database_url) as store, store.reading() as connection:
        migrated = await in_sqlite(connection)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/spoken.db")
    async with engine.begin() as connection:
        await connection.run_sync(schema.metadata.create_all)
        spoken = await in_sqlite(connection)
    await engine.dispose()

    assert migrated == spoken
    assert migrated.keys() >= TABLES


async def test_the_tables_are_those_the_code_speaks_of_in_postgresql(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with open_event_store(postgres_url) as store, store.reading() as connection:
        migrated = await in_postgresql(connection)
    schema.index_for_postgresql()
    with postgres_server.database() as other_url:
        engine = create_async_engine(other_url)
        async with engine.begin() as connection:
            await connection.run_sync(schema.metadata.create_all)
            spoken = await in_postgresql(connection)
        await engine.dispose()

    assert migrated == spoken


async def test_no_row_has_room_for_a_transactions_number_any_more(database_url: str, postgres_url: str) -> None:
    for url in (database_url, postgres_url):
        await upgrade(url)
        async with open_event_store(url, migrate=False) as store, store.reading() as connection:
            for table in ("events", "checkpoints"):
                row = (await connection.execute(text(f"SELECT * FROM {table}"))).keys()
                assert "transaction_id" not in set(row)
