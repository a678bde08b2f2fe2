"""What a store is given of its database, whichever it is."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Engines:
    """`writer` for transactions that write. `reader` for queries that see one moment, in one transaction, and cannot
    write. `single` is the reader for queries of one statement, which need no transaction around it: on PostgreSQL it is
    trusted not to write. `migrator` writes too, and may take its time."""

    writer: AsyncEngine
    reader: AsyncEngine
    single: AsyncEngine
    migrator: AsyncEngine
