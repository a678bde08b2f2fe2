"""The durable event store over SQLAlchemy Core. Needs the extra `sql`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cortex_core.eventsourcing.records import MAX_BYTES
from cortex_core.eventsourcing.sql.checkpoints import is_parked, live_generation
from cortex_core.eventsourcing.sql.engines import BUSY_TIMEOUT, open_engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.eventsourcing.sql.group import GroupLimits
from cortex_core.eventsourcing.sql.migrating import CORE, missing, not_current, upgrade, upgrade_within
from cortex_core.eventsourcing.sql.schema import Key, Timestamp
from cortex_core.eventsourcing.sql.store import SqlEventStore
from cortex_core.eventsourcing.upcasting import Upcasters
from cortex_core.kernel.clock import Clock, SystemClock

__all__ = [
    "GroupLimits",
    "Key",
    "SqlEventStore",
    "Timestamp",
    "is_parked",
    "live_generation",
    "open_event_store",
    "upgrade",
]


@asynccontextmanager
async def open_event_store(
    database_url: str,
    *,
    clock: Clock | None = None,
    migrations: Sequence[Path] = (),
    migrate: bool = True,
    max_bytes: int = MAX_BYTES,
    busy_timeout: float = BUSY_TIMEOUT,
    group: GroupLimits | None = None,
    upcasters: Upcasters | None = None,
) -> AsyncIterator[SqlEventStore]:
    """The store in the database at `database_url` while the block runs: `sqlite+aiosqlite:///path`, whose folder is
    made, or `postgresql+asyncpg://user:password@host/database`, which needs the extra `postgres`.

    `migrations` are the folders of the service's own tables (see `migrating.py` for what is in one):

        open_event_store(settings.database_url, migrations=[Path(__file__).parent / "migrations"], migrate=...)

    They live in the same database, so that `also=` and `store.transaction()` change them in one transaction with events
    and messages; `store.reading()` is for queries. `migrate` True brings old tables up to date first; pass False in
    production, where `cortex db upgrade` (`upgrade`) does that before the roll-out. `max_bytes` bounds one event's
    data; `busy_timeout` (seconds) how long a writer waits for those of other processes, and twice that is how long it
    waits for its turn within this one. `group` bounds what shares a commit (see GroupLimits). `upcasters` are applied
    to what is read.

    Raises SchemaNotCurrent (`migrate=False`), EventStoreUnavailable, ValueError for any other kind of URL.
    """
    folders = [CORE, *migrations]
    async with open_engines(database_url, busy_timeout) as opened:
        with translated():
            async with opened.reader.connect() as connection:
                wanted = await missing(connection, folders)
            if wanted and not migrate:
                raise not_current(wanted)
            if wanted:
                async with opened.migrator.begin() as connection:
                    await upgrade_within(connection, folders)
        store = SqlEventStore(
            opened,
            clock=clock or SystemClock(),
            max_bytes=max_bytes,
            group=group,
            patience=2 * busy_timeout,
            upcasters=upcasters,
        )
        try:
            yield store
        finally:
            await store.close()
