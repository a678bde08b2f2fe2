"""The service on its real database and disk, in a folder of the test's own; fakes for what has to fail."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import ClientSession

from cortex_core.events import BusUnavailable, CloudEvent, Marker, MemoryEventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.ipfs import Block, BlockStoreUnavailable, Cid, FileBlockStore
from cortex_core.kernel import current
from cortex_core.testing import serving
from cortex_storage.domain import FileNotFound, InvalidCursor, StoredFile
from cortex_storage.ports import Page
from cortex_storage.settings import Settings
from cortex_storage.wiring import build

MAX_BYTES = 64 * 1024 * 1024


class Bus(MemoryEventBus):
    """Remembers what was published; can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.published: list[CloudEvent] = []

    async def publish(self, events: Sequence[CloudEvent], *, marker: Marker | None = None) -> None:
        await self.check()
        await super().publish(events, marker=marker)
        self.published += events

    async def check(self) -> None:
        if self.down:
            raise BusUnavailable("it is down")
        await super().check()


class Disk:
    """The block store's folder, that can be full, and that can rot."""

    def __init__(self, store: FileBlockStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self.full = False

    async def get(self, cid: Cid) -> bytes:
        return await self._store.get(cid)

    async def put_many(self, blocks: Sequence[Block]) -> None:
        if self.full:
            raise BlockStoreUnavailable("no space left on device")
        await self._store.put_many(blocks)

    async def check(self) -> None:
        await self._store.check()

    def files(self) -> list[Path]:
        return [path for path in self._folder.rglob("*") if path.is_file()]

    def holds(self, data: bytes) -> bool:
        return self._path(data).exists()

    def rot(self, data: bytes) -> None:
        """One bit of the stored block `data` flips."""
        self._path(data).write_bytes(bytes([data[0] ^ 1]) + data[1:])

    def lose(self, data: bytes) -> None:
        self._path(data).unlink()

    def _path(self, data: bytes) -> Path:
        name = hashlib.sha256(data).hexdigest()
        return self._folder / name[:2] / name


class MemoryFiles:
    """`Files` in a list."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, StoredFile]] = []

    async def add(self, file: StoredFile) -> StoredFile:
        known = [each for each in self._mine() if each.cid == file.cid]
        if not known:
            self.rows.append((current().tenant, file))
        return known[0] if known else file

    async def find(self, cid: Cid) -> StoredFile:
        for each in self._mine():
            if each.cid == cid:
                return each
        raise FileNotFound(cid)

    async def page(self, *, limit: int, after: Cid | None) -> Page:
        newest_first = self._mine()[::-1]
        cids = [each.cid for each in newest_first]
        if after is not None and after not in cids:
            raise InvalidCursor
        rest = newest_first if after is None else newest_first[cids.index(after) + 1 :]
        return Page(rest[:limit], rest[limit - 1].cid if len(rest) > limit else None)

    def _mine(self) -> list[StoredFile]:
        return [file for tenant, file in self.rows if tenant == current().tenant]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database may take as long as a busy machine needs: how long it may is tested where that is the point."""
    monkeypatch.setitem(open_event_store.__wrapped__.__kwdefaults__, "busy_timeout", 30.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        env="test",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/storage.db",
        blocks_dir=tmp_path / "blocks",
        max_file_bytes=MAX_BYTES,
        tenants=frozenset({"public", "acme", "one", "two"}),
    )


@pytest.fixture
def make_bus() -> type[Bus]:
    return Bus


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def disk(settings: Settings) -> Disk:
    return Disk(await FileBlockStore.open(settings.blocks_dir), settings.blocks_dir)


@pytest.fixture
async def client(settings: Settings, bus: Bus, disk: Disk) -> AsyncIterator[ClientSession]:
    async with serving(build(settings, bus=bus, blocks=disk)) as session:
        yield session


@pytest.fixture
def memory_files() -> MemoryFiles:
    return MemoryFiles()


@pytest.fixture
def content() -> Callable[[int], bytes]:
    """`content(size)`: bytes with no two blocks alike, the same in every run (the CID tables' seed `cortex`)."""
    return lambda size: hashlib.shake_256(b"cortex").digest(size)


@pytest.fixture
def requests(client: ClientSession) -> Callable[[str, str], "asyncio.Future[float]"]:
    """`await requests(method, status)`: how many requests for files the service has finished so, by its own count."""

    async def count(method: str, status: str) -> float:
        async with client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = ("cortex_hub_http_requests_total", f'method="{method}"', "/storage/files", f'status="{status}"')
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(part in line for part in wanted))

    return lambda method, status: asyncio.ensure_future(count(method, status))
