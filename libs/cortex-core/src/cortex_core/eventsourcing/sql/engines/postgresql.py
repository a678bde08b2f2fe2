"""PostgreSQL, beyond one machine.

Writers share a small pool, at READ COMMITTED: the expected version decides between them, not the isolation. Readers'
transactions are of one moment (REPEATABLE READ) and read only; their sessions are not, for a driver that looks for a
server that takes writes would pass over ours, and a pooler would hand them on to a writer.

What was acknowledged is on the server's disk: a session whose `synchronous_commit` is off turns it on. Nothing is
waited for without an end: not a connection, a lock, a statement, nor a server that has stopped answering; and a
transaction that this process has forgotten (it was stopped, its host is gone) is ended by the server, for its locks and
its place in the order of positions keep others waiting.

A connection that was closed while it lay in the pool is replaced before anybody gets it, and one that turns out to be
broken takes its contemporaries with it: after a restart of the server the next caller has a new one.

The URL is given to the driver, so what that knows of libpq's (`sslmode`, `sslrootcert`, several hosts,
`target_session_attrs`) can be said, and any setting of a session; it never reaches the engine, whose errors and `repr`
might show it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cortex_core.eventsourcing.errors import EventStoreUnavailable, UnusableDatabaseUrl
from cortex_core.eventsourcing.sql.engines.opened import Engines
from cortex_core.eventsourcing.sql.faults import READ_ONLY, of_connection, sqlstate

_WRITERS: Final = 4
_READERS: Final = 4
_LEAST: Final = 1.0  # seconds that a connection or an answer may take, however little a lock may
_BARE: Final = "postgresql+asyncpg://"
_CACHE: Final = "prepared_statement_cache_size"  # the one option of SQLAlchemy's in a URL: 0 for a pooler between us
_TIMEOUT: Final = "connect_timeout"  # libpq's, in seconds, and without its 0 for ever: the driver does not know it

_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)

Connect = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def open_postgresql(url: URL, busy_timeout: float) -> AsyncIterator[Engines]:
    """Raises ValueError where the driver is not installed or the URL says what it does not understand."""
    limits = _limits(busy_timeout)
    made = WeakSet[Any]()
    connect = _connecting(url, busy_timeout, made)
    pooled = {"max_overflow": 0, "pool_timeout": busy_timeout * 2, "pool_use_lifo": True}
    writer = _engine(url, connect, limits, pool_size=_WRITERS, isolation_level="READ COMMITTED", **pooled)
    reading = {"isolation_level": "REPEATABLE READ", "execution_options": {"postgresql_readonly": True}}
    reader = _engine(url, connect, limits, pool_size=_READERS, **reading, **pooled)
    migrator = _engine(url, connect, {}, poolclass=NullPool, isolation_level="READ COMMITTED")
    _replace_what_a_new_primary_refuses(writer)
    try:
        yield Engines(writer, reader, reader.execution_options(isolation_level="AUTOCOMMIT"), migrator)
    finally:
        try:
            for engine in (reader, writer, migrator):
                await engine.dispose()
        finally:  # cancelled, it has not come to all of them
            for connection in made:
                connection.terminate()


def _limits(busy_timeout: float) -> dict[str, str]:
    """In milliseconds. A lock is another writer's; a statement may wait for several of them."""
    return {
        "lock_timeout": _milliseconds(busy_timeout),
        "statement_timeout": _milliseconds(busy_timeout * 4),
        "idle_in_transaction_session_timeout": _milliseconds(busy_timeout * 2),
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _connecting(url: URL, busy_timeout: float, made: WeakSet[Any]) -> Connect:
    """How a connection comes about, which is one of `made` then. Raises ValueError."""
    try:
        import asyncpg  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise UnusableDatabaseUrl("PostgreSQL needs the driver asyncpg: pip install cortex-core[postgres]") from error
    name = {} if "application_name" in url.query else {"application_name": "cortex"}
    patience = _patience(url, busy_timeout)
    ours = url.difference_update_query([_CACHE, _TIMEOUT]).set(drivername="postgresql")
    dsn = ours.render_as_string(hide_password=False)

    async def connect(settings: Mapping[str, str]) -> Any:
        """`settings` of the server for this session; without any, nothing ends a statement that takes its time."""
        try:
            connection = await asyncpg.connect(
                dsn,
                timeout=patience,
                command_timeout=max(_LEAST, busy_timeout * 5) if settings else None,
                server_settings={**name, **settings},
            )
            made.add(connection)
            try:
                await connection.execute(_DURABLE)
            except BaseException:  # a cancellation too: nobody has the connection yet, so nobody else would close it
                connection.terminate()
                raise
        except (
            asyncpg.ClientConfigurationError,
            asyncpg.UndefinedObjectError,  # what the driver does not know it gives to the server, as a setting
            asyncpg.InvalidParameterValueError,
        ) as error:
            raise UnusableDatabaseUrl(f"the database's URL: {error}") from None
        except (
            OSError,  # a TimeoutError is one
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,  # of several servers none is what target_session_attrs asks for
        ) as error:
            raise of_connection(error) from error
        return connection

    return connect


def _patience(url: URL, busy_timeout: float) -> float:
    """Seconds for a connection."""
    said = url.query.get(_TIMEOUT)
    if said is None:
        return max(_LEAST, busy_timeout)
    if not isinstance(said, str) or not said.isdecimal() or int(said) == 0:
        raise UnusableDatabaseUrl(f"{_TIMEOUT} is a whole number of seconds, from 1")
    return float(said)


def _engine(url: URL, connect: Connect, settings: Mapping[str, str], **options: Any) -> AsyncEngine:
    def creator(**_: Any) -> Awaitable[Any]:
        return connect(settings)

    arguments: dict[str, Any] = {"async_creator_fn": creator}
    if cache := url.query.get(_CACHE):
        arguments[_CACHE] = _whole(cache)
    engine = create_async_engine(_BARE, hide_parameters=True, connect_args=arguments, **options)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _forget_rows)
    event.listen(engine.sync_engine, "handle_error", _name_silence)
    return engine


def _whole(value: object) -> int:
    if not isinstance(value, str) or not value.isdecimal():
        raise UnusableDatabaseUrl(f"{_CACHE} is a whole number")
    return int(value)


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """The pool answers this with another one. It costs no round trip: the driver has heard the server hang up."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _forget_rows(context: ExceptionContext) -> None:
    """What the server says of a row that it refuses quotes the row (classes 22 and 23, DETAIL), and tracebacks print
    it."""
    if sqlstate(context.original_exception).startswith(("22", "23")):
        for error in (context.original_exception, context.original_exception.__cause__):
            if error is not None:
                error.detail = None  # type: ignore[attr-defined]  # asyncpg's, and SQLAlchemy's copy of it


def _name_silence(context: ExceptionContext) -> None:
    """A connection that broke, or a server that no longer answers, in words that SQLAlchemy has none for."""
    error = context.original_exception
    if isinstance(error, OSError):
        context.is_disconnect = True
        raise EventStoreUnavailable(f"the database does not answer: {type(error).__name__}", awaited=True) from error


def _replace_what_a_new_primary_refuses(writer: AsyncEngine) -> None:
    """After a fail-over the old server may live on as a standby, and its connections with it: they are given up, so
    that the next ones find the new primary."""

    def on_error(context: ExceptionContext) -> None:
        if sqlstate(context.original_exception) == READ_ONLY:
            context.is_disconnect = True

    event.listen(writer.sync_engine, "handle_error", on_error)
