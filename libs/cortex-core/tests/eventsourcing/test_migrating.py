import asyncio
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import NewEvent, SchemaNotCurrent
from cortex_core.eventsourcing.sql import open_event_store, upgrade
from cortex_core.eventsourcing.sql.migrating import CORE, Revision, line
from cortex_core.kernel.errors import Kind


def revision(folder: Path, number: int, body: str, label: str = "order") -> None:
    folder.mkdir(exist_ok=True)
    down = f'"{label}_{number - 1:04}"' if number > 1 else "None"
    source = f"""
        from alembic import op
        import sqlalchemy as sa
        from cortex_core.eventsourcing.sql import Key

        revision: str = "{label}_{number:04}"
        down_revision = {down}

        def upgrade():
            {body}
        """
    (folder / f"{label}_{number:04}_step.py").write_text(textwrap.dedent(source))


@pytest.fixture
def database_url(on_both: str) -> str:
    return on_both


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    revision(folder, 1, 'op.create_table("orders", sa.Column("id", Key, primary_key=True))')
    return folder


async def tables(database_url: str) -> set[str]:
    async with open_event_store(database_url, migrate=False) as store, store.reading() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_a_service_has_its_tables_in_the_same_database(database_url: str, orders: Path) -> None:
    async with open_event_store(database_url, migrations=[orders]) as store:

        async def also(connection: AsyncConnection) -> None:
            await connection.execute(text("INSERT INTO orders (id) VALUES ('ord_1')"))

        await store.append("ord_1", [NewEvent("order.created", {})], expected_version=0, also=also)
        async with store.reading() as connection:
            assert (await connection.execute(text("SELECT id FROM orders"))).scalars().all() == ["ord_1"]
            versions = await connection.execute(text("SELECT version_num FROM alembic_version ORDER BY 1"))
            assert versions.scalars().all() == [str(line(CORE)[-1]), "order_0001"]


async def test_a_service_comes_to_a_database_that_has_data(database_url: str, orders: Path) -> None:
    async with open_event_store(database_url) as store:
        await store.append("a", [NewEvent("order.created", {})], expected_version=0)

    assert await upgrade(database_url, [orders]) == ["order_0001"]
    revision(orders, 2, 'op.add_column("orders", sa.Column("status", Key))')
    revision(orders, 3, 'op.create_index("orders_status", "orders", ["status"])')
    assert await upgrade(database_url, [orders]) == ["order_0003"]
    assert await upgrade(database_url, [orders]) == []

    async with open_event_store(database_url, migrations=[orders], migrate=False) as store:
        assert len(await store.read("a")) == 1
        async with store.transaction() as connection:
            await connection.execute(text("INSERT INTO orders (id, status) VALUES ('ord_1', 'pending')"))


async def test_where_it_may_not_migrate_old_tables_are_refused(database_url: str, orders: Path) -> None:
    await upgrade(database_url)

    with pytest.raises(SchemaNotCurrent, match="cortex db upgrade") as caught:
        async with open_event_store(database_url, migrations=[orders], migrate=False):
            pass

    assert caught.value.details == {"missing": ["order_0001"]}
    assert (caught.value.code, caught.value.kind) == ("event-store.schema-not-current", Kind.INTERNAL)
    assert "orders" not in await tables(database_url)


async def test_an_empty_database_is_refused_too(database_url: str) -> None:
    with pytest.raises(SchemaNotCurrent, match=str(line(CORE)[-1])):
        async with open_event_store(database_url, migrate=False):
            pass


async def test_a_newer_database_is_left_alone(database_url: str, orders: Path) -> None:
    """In a roll-out the schema comes first: a replica of the old code must start beside it."""
    revision(orders, 2, 'op.add_column("orders", sa.Column("status", Key))')
    await upgrade(database_url, [orders])
    (orders / "order_0002_step.py").unlink()

    assert await upgrade(database_url, [orders]) == []
    async with open_event_store(database_url, migrations=[orders], migrate=False) as store:
        await store.check()


async def test_a_database_of_an_unknown_line_is_not_touched(database_url: str, orders: Path, tmp_path: Path) -> None:
    await upgrade(database_url, [orders])
    revision(
        tmp_path / "files", 1, 'op.create_table("files", sa.Column("cid", Key, primary_key=True))', label="storage"
    )

    with pytest.raises(SchemaNotCurrent, match="order_0001"):
        await upgrade(database_url, [tmp_path / "files"])

    assert not await tables(database_url) & {"files"}


async def test_a_migration_that_fails_leaves_nothing(database_url: str, orders: Path) -> None:
    revision(orders, 2, 'op.create_table("half", sa.Column("id", Key)); raise LookupError("in the middle")')

    with pytest.raises(LookupError, match="in the middle"):
        await upgrade(database_url, [orders])

    with pytest.raises(SchemaNotCurrent, match=f"{line(CORE)[-1]}, order_0002"):
        async with open_event_store(database_url, migrations=[orders], migrate=False):
            pass
    await upgrade(database_url)
    assert not await tables(database_url) & {"orders", "half"}


async def test_several_processes_may_start_at_once(database_url: str, orders: Path) -> None:
    reached = await asyncio.gather(*(upgrade(database_url, [orders]) for _ in range(4)))

    assert sorted(map(len, reached)) == [0, 0, 0, 2]
    assert "orders" in await tables(database_url)


async def test_alembic_is_not_loaded_where_there_is_nothing_to_do(database_url: str, orders: Path) -> None:
    await upgrade(database_url, [orders])
    program = f"""
        import asyncio, sys
        from pathlib import Path
        from cortex_core.eventsourcing.sql import open_event_store

        async def main():
            async with open_event_store({database_url!r}, migrations=[Path({str(orders)!r})]) as store:
                await store.check()
            print("alembic" in sys.modules)

        asyncio.run(main())
        """

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()

    assert (child.returncode, out) == (0, b"False\n")


def test_a_folder_is_one_line_from_the_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no revision"):
        line(tmp_path)
    revision(tmp_path, 1, "pass")
    revision(tmp_path, 3, "pass")
    with pytest.raises(ValueError, match="not one line"):
        line(tmp_path)
    revision(tmp_path, 2, "pass")
    assert [str(each) for each in line(tmp_path)] == ["order_0001", "order_0002", "order_0003"]
    revision(tmp_path, 4, "pass", label="storage")
    with pytest.raises(ValueError, match="not one line"):
        line(tmp_path)
    (tmp_path / "stray.py").write_text("revision = compute()")
    with pytest.raises(ValueError, match="declares no revision"):
        line(tmp_path)


@pytest.mark.parametrize("wrong", ["0001", "_0001", "order_1", "order_00001", "order", "order_000x"])
def test_a_revision_is_named_by_line_and_number(wrong: str) -> None:
    with pytest.raises(ValueError, match="no revision like"):
        Revision.parse(wrong)
