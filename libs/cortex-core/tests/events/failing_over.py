"""A Redis with a replica behind one address, as a fail-over has them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

from cortex_core.testing import RedisServer, eventually


class Pair:
    """`address` leads to `master`. After `fail_over` it leads to what was its replica."""

    def __init__(self, master: RedisServer, replica: RedisServer) -> None:
        self.master, self.replica = master, replica
        self.dialled = 0
        self._target = master
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port: int = self._server.sockets[0].getsockname()[1]

    async def replicate(self) -> None:
        """Returns when the replica has all that the master has."""
        self.replica.command("REPLICAOF", "127.0.0.1", str(self.master.port))
        await self.caught_up()

    async def caught_up(self) -> None:
        await eventually(lambda: "master_link_status:up" in self.replica.command("INFO", "replication"), within=10)
        await eventually(lambda: self.replica.command("DBSIZE") == self.master.command("DBSIZE"))
        self.master.command("WAIT", "1", "5000")

    def detach(self) -> None:
        """The replica gets nothing more: what the master is told from now on will be lost."""
        self.replica.command("REPLICAOF", "NO", "ONE")

    def point_to_replica(self) -> None:
        """New connections lead there; what is open stays."""
        self._target = self.replica

    def cut(self) -> None:
        """Every connection is lost."""
        for writer in self._writers:
            writer.transport.abort()

    async def aclose(self) -> None:
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled += 1
        behind, ahead = await asyncio.open_connection("127.0.0.1", self._target.port)
        self._writers |= {writer, ahead}
        for source, sink in ((reader, ahead), (behind, writer)):
            pump = asyncio.create_task(_pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """Replicating, and gone when the block ends."""
    with ExitStack() as stack:
        both = Pair(*(stack.enter_context(RedisServer.running()) for _ in range(2)))
        await both.start()
        try:
            await both.replicate()
            yield both
        finally:
            await both.aclose()
