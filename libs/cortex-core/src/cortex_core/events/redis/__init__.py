"""The bus on Redis. This is the one file of the cog that knows the client library; it needs the extra `redis`.

For each event there is an entry in the stream `{namespace}:{tenant}:events:{topic}` and a message on the channel of the
same name, which carries the entry's id and the id of the entry before it. What is published at one time travels in one
Lua call (writer.py). Consumer groups read the stream; fan-out subscribers hear the channel and fill what they miss from
the stream. Dead letters are the stream `{namespace}:{tenant}:dead:{group}`; what comes to one group once more is
`{namespace}:{tenant}:replay:{group}:{topic}`. A call touches several keys: one Redis with replicas, not a cluster.

What holds. At least once: an entry is acknowledged after its handler has returned; what was handled and not yet
acknowledged when the process died comes again (consumers are idempotent by event id). One member handles its entries
one at a time, in the order of publication; while an event waits for its retry, later events of its subject wait behind
it and other subjects go on, until `4 * policy.batch` entries are held. Across several members of a group nothing is
ordered: two events of one subject may be at work in two processes, and `version` tells which is newer.

What is bounded. An event to 256 KiB, a wait for Redis to `timeout`, a stream by age (`retention`): never past what a
group has not acknowledged. `max_length` is the last resort (whole radix nodes, so a few entries more): what it cuts
from under a group is told as `Strain.CUT`, and becomes dead letters with the code `event.trimmed` where Redis still
knows of it.

Redis away. Every loop tells its hooks and tries again, at most 2 s apart; `publish` raises BusUnavailable. Wiped:
groups are made again, from the oldest entry. Failed over to an older tail: groups and subscribers go on from what both
have in common. Without an append-only file a killed Redis loses acknowledged events.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import hiredis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from cortex_core.events.bus import Retention
from cortex_core.events.delivery import DRAIN
from cortex_core.events.errors import BusUnavailable
from cortex_core.events.hooks import BusHooks
from cortex_core.events.redis.bus import StreamBus
from cortex_core.events.redis.commands import packed
from cortex_core.events.redis.link import Refused, Script, Wire, Word, login_refusal, refusal, unusable
from cortex_core.events.redis.pipe import Dialer, Parser
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import DEFAULT_TENANT

__all__ = ["RedisEventBus"]

_TAKEN_OFF: Final = {ReadOnlyError: "READONLY ", MasterDownError: "MASTERDOWN "}
_WHERE: Final = frozenset(
    {"connection_class", "host", "port", "path", "db", "username", "password", "client_name", "socket_keepalive"}
)
_PASSED_OVER: Final = frozenset(
    {"protocol", "legacy_responses", "decode_responses", "encoding", "encoding_errors", "socket_timeout"}
    | {"socket_connect_timeout", "socket_read_size", "timeout", "retry_on_timeout", "max_connections"}
    | {"health_check_interval"}
)
_NO_URL: Final = "not a Redis URL; what is special in a password (/ # ? @) is percent-encoded"
CONNECTIONS: Final = 8  # for commands; consumers and subscribers have one more each


class RedisEventBus(StreamBus):
    """See the module and `EventBus`. Nothing is opened before it is needed."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "cortex",
        consumer: str | None = None,
        tenants: Sequence[str] = (DEFAULT_TENANT,),
        clock: Clock | None = None,
        hooks: BusHooks | None = None,
        timeout: float = 1.5,
        max_length: int = 1_000_000,
        drain: float = DRAIN,
        retention: Retention | None = Retention(),  # noqa: B008 - it is frozen
    ) -> None:
        """`url`: redis://, rediss:// or unix://; of its options, those that say where and as whom (ValueError for one
        that nobody knows). `consumer`: this process's name in its groups, unique among those that live (default: host,
        process and a random part). `tenants`: whose events are consumed; published are any. `drain`: the seconds a
        handler has to end when its subscription is closed; then it is cancelled. `retention`: None leaves trimming by
        age to others; who publishes or consumes takes part in it otherwise."""
        super().__init__(
            RedisLink(url, timeout),
            namespace=namespace,
            consumer=consumer,
            tenants=tenants,
            clock=clock,
            hooks=hooks,
            max_length=max_length,
            drain=drain,
            retention=retention,
        )


class RedisLink:
    """A `Link` over the library's connections. The library's own retries are off: the loops do that, in sight."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url: Final = url
        self._timeout: Final = timeout
        self._slots: Final = asyncio.Semaphore(CONNECTIONS)
        self._pool: Final = _pool(url)
        self._over: Final = asyncio.Event()

    async def batch(self, commands: Sequence[Sequence[Word]], within: float | None = None) -> list[Any]:
        async with _translated(), asyncio.timeout(within or self._timeout), self._connection() as connection:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            replies = [await self._reply(connection) for _ in commands]
            if any(isinstance(reply, Refused) and unusable(reply.message) for reply in replies):
                await self._leave(connection)
            return replies

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:
        async with _translated(), asyncio.timeout(self._timeout), self._connection() as connection:
            words = (len(keys), *keys, *arguments)
            try:
                await connection.send_command("EVALSHA", script.digest, *words, check_health=False)
                return await connection.read_response()
            except NoScriptError:  # a server that has started anew, or been told SCRIPT FLUSH
                await connection.send_command("EVAL", script.text, *words, check_health=False)
                return await connection.read_response()

    def wire(self) -> Wire:
        return _RedisWire(self._pool.make_connection(), self._timeout)  # type: ignore[no-untyped-call]  # library's gap

    def dialer(self) -> Dialer:
        return _RedisDialer(self._url, self._timeout)

    async def aclose(self) -> None:
        self._over.set()
        await self._pool.disconnect()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._slots:
            if self._over.is_set():
                raise BusUnavailable("the bus was closed")
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # the library's own gap
            try:
                yield connection
            except ResponseError as error:
                if unusable(_refused(error).message):
                    await self._leave(connection)
                raise
            except BaseException:  # interrupted: whose reply comes next is not known any more
                await connection.disconnect(nowait=True)
                raise
            finally:
                if self._over.is_set():
                    await connection.disconnect(nowait=True)
                await self._pool.release(connection)

    async def _leave(self, connection: Connection) -> None:
        """What is open leads to a server that is not the one we want, or not yet."""
        await connection.disconnect(nowait=True)
        await self._pool.disconnect(inuse_connections=False)

    @staticmethod
    async def _reply(connection: Connection) -> Any:
        try:
            return await connection.read_response()
        except ResponseError as error:
            return _refused(error)


class _RedisDialer:
    """A `Dialer`. The library reads the URL and makes the TLS context; the connection is a plain asyncio transport,
    because the library's own sends and reads one command a turn."""

    def __init__(self, url: str, timeout: float) -> None:
        self.timeout: float = timeout
        options = _options(url)
        self._tls: Final = _tls(options)
        self._path: Final[str | None] = options.get("path")
        self._host: Final[str] = options.get("host", "localhost")
        self._port: Final = int(options.get("port", 6379))
        self.greeting: Final = _greeting(options)

    async def dial(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            transport, _ = await loop.create_unix_connection(lambda: protocol, self._path)
        else:
            transport, _ = await loop.create_connection(lambda: protocol, self._host, self._port, ssl=self._tls)
        transport.set_write_buffer_limits(0)  # uvloop holds a write back to the end of its turn otherwise
        return transport

    def parser(self) -> Parser:
        reader: Parser = hiredis.Reader()
        return reader


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    if options.get("connection_class") is not SSLConnection:
        return None
    told = {name: value for name, value in options.items() if name.startswith("ssl_")}
    context: ssl.SSLContext = SSLConnection(**told).ssl_context.get()
    return context


def _greeting(options: dict[str, Any]) -> list[bytes]:
    """The first commands of every connection."""
    user, password, database = (options.get(name) for name in ("username", "password", "db"))
    login = [packed("AUTH", *(word for word in (user, password) if word))] if password else []
    return [*login, packed("SELECT", str(database))] if database else login


class _RedisWire:
    """A `Wire`."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection: Final = connection
        self._timeout: Final = timeout

    async def call(self, *words: Word, within: float) -> Any:
        async with _translated(), asyncio.timeout(within):
            await self._connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
            await self._connection.send_command(*words, check_health=False)
            return await self._connection.read_response(timeout=math.inf)

    async def send(self, *words: Word) -> None:
        async with _translated(), asyncio.timeout(self._timeout):
            await self._connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
            await self._connection.send_command(*words, check_health=False)

    async def receive(self, within: float) -> Any:
        async with _translated():
            try:
                return await self._connection.read_response(timeout=within, disconnect_on_error=False)
            except RedisTimeoutError:
                return None

    async def aclose(self) -> None:
        with suppress(RedisError, OSError):  # closing what is broken: nothing more can be learnt from how it fails
            await self._connection.disconnect(nowait=True)


def _pool(url: str) -> ConnectionPool:
    """Raises ValueError, as `_options`."""
    pool = ConnectionPool(
        **_options(url),
        protocol=2,  # the same replies from 6.2 on
        socket_timeout=None,  # the library would wait with asyncio.wait_for, which loses cancellations before 3.12;
        socket_connect_timeout=None,  # asyncio.timeout around each call bounds all of it, and loses none
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
    )
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # the library's own gap; nothing is opened
    except (TypeError, RedisError) as error:  # only what is about TLS can be wrong here
        raise ValueError(f"the Redis URL's options: {error}") from None
    return pool


def _options(url: str) -> dict[str, Any]:
    """Where Redis is, and as whom we come. How a client works is ours to say, whatever the URL says to others: with
    other replies, or other time-outs, the bus would be silent. Raises ValueError for an option that nobody knows and
    for what is no URL; it does not repeat it, as Python's own would: there is a password in it."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        raise ValueError(_NO_URL) from None
    ours = {name: value for name, value in options.items() if name in _WHERE or name.startswith("ssl_")}
    if unknown := sorted(options.keys() - ours.keys() - _PASSED_OVER):
        half_a_password = "@" in url.partition("?")[2]  # it was cut at a question mark of its own
        raise ValueError(_NO_URL if half_a_password else f"the Redis URL has an unknown option: {unknown[0][:40]}")
    return ours


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """The message reaches health reports: it names the trouble's class, and no address."""
    try:
        yield
    except ResponseError as error:
        raise _refused(error) from None  # its own text may repeat what we sent
    except AuthenticationError as error:
        raise BusUnavailable(login_refusal(str(error))) from None
    except (RedisError, OSError, TimeoutError) as error:
        cause = error.__context__ if isinstance(error.__context__, OSError) else error  # the library's own wrapping
        raise BusUnavailable(f"the bus does not answer: {type(cause).__name__}") from error


def _refused(error: ResponseError) -> Refused:
    """The library takes the first word off some errors and makes a class of it."""
    taken_off = next((word for kind, word in _TAKEN_OFF.items() if isinstance(error, kind)), "")
    return refusal(f"{taken_off}{error}")
