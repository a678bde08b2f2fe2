"""Migrations: whether the tables are what this code needs, and how they become it.

One database, one `alembic_version` table, one line of revisions a label: `core_0001`, `core_0002` … for the event
store's own tables, and the same for each service (`order_0001` …), whose folder the service passes. Lines are straight
and independent: no revision depends on another line's.

A service's folder, `cortex_order/migrations/`, holds one file a revision; its name and its contents begin with the id:

    order_0001_orders.py

        revision = "order_0001"
        down_revision = None            # the next file says "order_0001"

        def upgrade() -> None:
            op.create_table("orders", ...)

Every start asks by plain SQL whether the newest revision of each line is there, so that Alembic (0.6 s to import) is
loaded only where there is something to do. A database that is newer than the code is left alone: in a roll-out the
schema comes first, and the old code must start beside it.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import SchemaNotCurrent
from cortex_core.eventsourcing.sql.engines import open_engines
from cortex_core.eventsourcing.sql.faults import translated

CORE: Final = Path(__file__).parents[1] / "migrations"

# The transaction's own lock: a pooler between us cannot lose it. Its number is "cortex" in ASCII, so that it is nobody
# else's. Changing a table waits for those who use it, and everybody who comes later waits behind: that has an end.
_WAIT_FOR_OTHERS: Final = text(f"SELECT pg_advisory_xact_lock({int.from_bytes(b'cortex')})")
_NOT_FOR_TABLES: Final = text("SET LOCAL lock_timeout = '10s'")


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """`order_0001`: the first of the line `order`."""

    label: str
    number: int

    @classmethod
    def parse(cls, text: str) -> "Revision":
        """Raises ValueError."""
        label, _, number = text.rpartition("_")
        if not label or len(number) != 4 or not number.isdecimal():
            raise ValueError(f"{text!r} is no revision like order_0001")
        return cls(label, int(number))

    def __str__(self) -> str:
        return f"{self.label}_{self.number:04}"


def line(folder: Path) -> list[Revision]:
    """The folder's revisions, oldest first. Raises ValueError where they are not one straight line from 0001."""
    found = sorted(Revision.parse(_declared(file)) for file in folder.glob("*.py") if file.name != "__init__.py")
    if not found:
        raise ValueError(f"{folder} holds no revision")
    if found != [Revision(found[0].label, number) for number in range(1, len(found) + 1)]:
        raise ValueError(f"{folder} is not one line from 0001: {', '.join(map(str, found))}")
    return found


def _declared(file: Path) -> str:
    """The file's `revision`, read without running it."""
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="revision")], value=ast.Constant(value=str(revision))):
                return revision
            case ast.AnnAssign(target=ast.Name(id="revision"), value=ast.Constant(value=str(revision))):
                return revision
            case _:
                pass
    raise ValueError(f"{file} declares no revision")


async def missing(connection: AsyncConnection, folders: Sequence[Path]) -> list[Revision]:
    """The newest revision of each folder that the database has not reached."""
    applied = await connection.run_sync(_applied)
    heads = [line(folder)[-1] for folder in folders]
    return [head for head in heads if not any(each.label == head.label and each >= head for each in applied)]


async def upgrade(database_url: str, migrations: Sequence[Path] = ()) -> list[str]:
    """Brings the event store's tables, and those of the folders `migrations`, to their newest revision, all or nothing.

    Returns the revisions reached; empty where there was nothing to do. Two processes may call it at once: one waits for
    the other. Raises SchemaNotCurrent where the database knows revisions that this code does not.
    """
    async with open_engines(database_url) as opened:
        with translated():
            async with opened.migrator.begin() as connection:
                return await upgrade_within(connection, [CORE, *migrations])


async def upgrade_within(connection: AsyncConnection, folders: Sequence[Path]) -> list[str]:
    """As `upgrade`, in the caller's transaction."""
    if connection.dialect.name == "postgresql":
        await connection.execute(_WAIT_FOR_OTHERS)
        await connection.execute(_NOT_FOR_TABLES)
    wanted = await missing(connection, folders)  # asked within the transaction: another process may have been faster
    if wanted:
        await connection.run_sync(_refuse_unknown, folders)
        await connection.run_sync(_run, folders, wanted)
    return [str(revision) for revision in wanted]


def not_current(wanted: Iterable[Revision]) -> SchemaNotCurrent:
    names = [str(revision) for revision in wanted]
    return SchemaNotCurrent(
        f"the database lacks {', '.join(names)}: run `cortex db upgrade`, or the service itself with `db upgrade`",
        awaited=True,
        missing=names,
    )


def _applied(connection: Connection) -> list[Revision]:
    if not inspect(connection).has_table("alembic_version"):
        return []
    names = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
    return [Revision.parse(name) for name in names]


def _refuse_unknown(connection: Connection, folders: Sequence[Path]) -> None:
    """Alembic cannot plan from a revision it has no file of."""
    known = {revision for folder in folders for revision in line(folder)}
    unknown = [str(revision) for revision in _applied(connection) if revision not in known]
    if unknown:
        raise SchemaNotCurrent(
            f"the database holds {', '.join(unknown)}, which this code does not know: it belongs to another service,"
            " or needs newer code to go on",
            unknown=unknown,
        )


def _run(connection: Connection, folders: Sequence[Path], wanted: Sequence[Revision]) -> None:
    from alembic.config import Config  # late: see the module
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    script = ScriptDirectory(str(CORE), version_locations=[str(folder) for folder in folders])
    for target in wanted:

        def steps(current: Any, _context: Any, target: Revision = target) -> Any:
            return script._upgrade_revs(str(target), current)

        with EnvironmentContext(config, script, fn=steps, destination_rev=str(target)) as environment:
            environment.configure(connection=connection, target_metadata=None, transactional_ddl=True)
            environment.run_migrations()
