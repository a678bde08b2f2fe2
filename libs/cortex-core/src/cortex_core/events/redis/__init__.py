"""The bus on Redis. This is the one file of the cog that knows the client library; it needs the extra `redis`.

One publish() is one Lua call: for each event an entry in the stream `{namespace}:{tenant}:events:{topic}` and a message
on the channel of the same name, which carries the entry's id and the id of the entry before it. Consumer groups read
the stream; fan-out subscribers hear the channel and fill what they miss from the stream. Dead letters are the stream
`{namespace}:{tenant}:dead:{group}`.

What holds. At least once: an entry is acknowledged after its handler has returned; what was handled and not yet
acknowledged when the process died comes again (consumers are idempotent by event id). One member handles its entries
one at a time, in the order of publication; while an event waits for its retry, later events of its subject wait behind
it and other subjects go on, until `4 * policy.batch` entries are held. Across several members of a group nothing is
ordered: two events of one subject may be at work in two processes, and `version` tells which is newer.

What is bounded. An event to 256 KiB, a stream to about `max_length` entries (whole radix nodes, so a few more), a wait
for Redis to `timeout`. The length is a plain cap: entries that a slow group has not handled are cut off all the same,
and become dead letters with the code `event.trimmed` where Redis still knows of them. Keep `max_length` well above what
the slowest group can be behind.

Redis away. Every loop tells its hooks and tries again, at most 2 s apart; `publish` raises BusUnavailable. Wiped:
groups are made again, from the oldest entry. Without an append-only file a killed Redis loses acknowledged events.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cortex_core.events.delivery import DRAIN
from cortex_core.events.errors import BusUnavailable
from cortex_core.events.hooks import BusHooks
from cortex_core.events.redis.bus import StreamBus
from cortex_core.events.redis.link import Refused, Script, Wire, Word
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import DEFAULT_TENANT

__all__ = ["RedisEventBus"]

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
    ) -> None:
        """`url`: redis://, rediss:// or unix://. `consumer`: this process's name in its groups, unique among those that
        live (default: host, process and a random part). `tenants`: whose events are consumed; published are any.
        `drain`: the seconds a handler has to end when its subscription is closed; then it is cancelled."""
        super().__init__(
            RedisLink(url, timeout),
            namespace=namespace,
            consumer=consumer,
            tenants=tenants,
            clock=clock,
            hooks=hooks,
            max_length=max_length,
            drain=drain,
        )


class RedisLink:
    """A `Link` over the library's connections. The library's own retries are off: the loops do that, in sight."""

    def __init__(self, url: str, timeout: float) -> None:
        self._timeout: Final = timeout
        self._slots: Final = asyncio.Semaphore(CONNECTIONS)
        self._pool: Final = _pool(url)

    async def batch(self, commands: Sequence[Sequence[Word]], within: float | None = None) -> list[Any]:
        async with _translated(), asyncio.timeout(within or self._timeout), self._connection() as connection:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await self._reply(connection) for _ in commands]

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
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # the library's own gap
        return _RedisWire(connection, self._timeout)

    async def aclose(self) -> None:
        await self._pool.disconnect()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._slots:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # the library's own gap
            try:
                yield connection
            except (ResponseError, Refused):
                raise
            except BaseException:  # interrupted: whose reply comes next is not known any more
                await connection.disconnect(nowait=True)
                raise
            finally:
                await self._pool.release(connection)

    @staticmethod
    async def _reply(connection: Connection) -> Any:
        try:
            return await connection.read_response()
        except ResponseError as error:
            return _refused(error)


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
    """Raises ValueError for what is no URL; it does not repeat it, as Python's own would: there is a password in it."""
    try:
        return ConnectionPool.from_url(
            url,
            protocol=2,  # the same replies from 6.2 on
            socket_timeout=None,  # the library would wait with asyncio.wait_for, which loses cancellations before 3.12;
            socket_connect_timeout=None,  # asyncio.timeout around each call bounds all of it, and loses none
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
    except ValueError:
        raise ValueError("not a Redis URL; what is special in a password (/ # ? @) is percent-encoded") from None


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """The message reaches health reports: it names the trouble's class, and no address."""
    try:
        yield
    except ResponseError as error:
        raise _refused(error) from None  # its own text may repeat what we sent
    except (RedisError, OSError, TimeoutError) as error:
        cause = error.__context__ if isinstance(error.__context__, OSError) else error  # the library's own wrapping
        raise BusUnavailable(f"the bus does not answer: {type(cause).__name__}") from error


def _refused(error: ResponseError) -> Refused:
    """Without the arguments of a command the server does not know (AUTH renamed): one may be the password."""
    return Refused(f"Redis refused: {str(error).partition(', with args beginning with')[0]}")
