"""What every `Files` must do, run over the fake that tests use and over the real one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cortex_core.events import CloudEvent
from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.ipfs import RAW, Cid
from cortex_core.kernel import use_context
from cortex_storage.adapters import SqlFiles
from cortex_storage.domain import FileNotFound, InvalidCursor, StorageUnavailable, StoredFile
from cortex_storage.ports import Files
from cortex_storage.wiring import MIGRATIONS

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def file(name: str, media_type: str | None = None, minutes: int = 0) -> StoredFile:
    data = name.encode()
    return StoredFile(Cid.of(RAW, data), len(data), media_type, MORNING + timedelta(minutes=minutes))


class FilesContract:
    async def test_an_added_file_is_found_as_it_was(self, files: Files) -> None:
        known = await files.add(file("one", "image/png"))

        assert known == file("one", "image/png")
        assert await files.find(known.cid) == known

    async def test_a_large_file_keeps_its_size(self, files: Files) -> None:
        large = StoredFile(Cid.of(RAW, b"large"), 1 << 40, None, MORNING)

        assert await files.find((await files.add(large)).cid) == large

    async def test_the_same_bytes_are_one_file_and_stay_as_they_were(self, files: Files) -> None:
        first = await files.add(file("one", "image/png"))

        assert await files.add(file("one", "text/plain", minutes=5)) == first
        assert (await files.page(limit=10, after=None)).files == [first]

    async def test_a_file_never_added_is_not_found(self, files: Files) -> None:
        with pytest.raises(FileNotFound):
            await files.find(file("never").cid)

    async def test_the_newest_come_first_page_by_page(self, files: Files) -> None:
        added = [await files.add(file(str(number))) for number in range(7)]

        pages, after = [], None
        for _ in range(3):
            page = await files.page(limit=3, after=after)
            pages.append(list(page.files))
            after = page.after

        assert pages == [added[6:3:-1], added[3:0:-1], added[:1]]
        assert after is None

    async def test_a_full_last_page_is_the_last(self, files: Files) -> None:
        await files.add(file("one"))

        assert (await files.page(limit=1, after=None)).after is None

    async def test_without_files_the_list_is_empty(self, files: Files) -> None:
        page = await files.page(limit=10, after=None)

        assert (list(page.files), page.after) == ([], None)

    async def test_a_cursor_of_nobodys_is_refused(self, files: Files) -> None:
        with pytest.raises(InvalidCursor):
            await files.page(limit=10, after=file("never").cid)

    async def test_tenants_do_not_see_each_other(self, files: Files) -> None:
        with use_context(tenant="one"):
            ours = await files.add(file("same", "image/png"))
        with use_context(tenant="two"):
            with pytest.raises(FileNotFound):
                await files.find(ours.cid)
            with pytest.raises(InvalidCursor):
                await files.page(limit=10, after=ours.cid)
            theirs = await files.add(file("same", "text/plain"))

        assert (ours.media_type, theirs.media_type) == ("image/png", "text/plain")
        with use_context(tenant="one"):
            assert (await files.page(limit=10, after=None)).files == [ours]


class TestMemoryFiles(FilesContract):
    @pytest.fixture
    def files(self, memory_files: Files) -> Files:
        return memory_files


class TestSqliteFiles(FilesContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite+aiosqlite:///{tmp_path}/files.db"

    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(url, migrations=[MIGRATIONS]) as store:
            yield store

    @pytest.fixture
    def files(self, store: SqlEventStore) -> SqlFiles:
        return SqlFiles(store)

    async def test_a_file_is_one_event_told_once(self, files: SqlFiles, store: SqlEventStore) -> None:
        with use_context(tenant="one"):
            known = await files.add(file("one", "image/png"))
            await files.add(file("one", "image/png", minutes=1))
            recorded = await store.read(f"file/{known.cid}")

        (message,) = await store.outbox.pending(10)
        told = CloudEvent.from_json(message.payload)
        data: dict[str, Any] = {"cid": str(known.cid), "size": 3, "mediaType": "image/png"}
        assert [(event.type, event.version, event.data) for event in recorded] == [("file.stored", 1, data)]
        assert (told.id, told.type, told.tenant) == (recorded[0].id, "file.stored", "one")
        assert (told.subject, told.version, told.time, told.data) == (str(known.cid), 1, MORNING, data)
        assert told.dataschema == "urn:cortex:event:file.stored/1"
        assert (message.id, message.topic, message.subject) == (told.id, "file", told.subject)

    async def test_of_many_at_once_one_is_told(self, files: SqlFiles, store: SqlEventStore) -> None:
        known = await asyncio.gather(*(files.add(file("one", minutes=number)) for number in range(20)))

        assert len(set(known)) == 1
        assert await store.outbox.count_pending() == 1

    async def test_files_outlive_the_store(self, files: SqlFiles, url: str) -> None:
        known = await files.add(file("one"))

        async with open_event_store(url, migrations=[MIGRATIONS]) as again:
            assert await SqlFiles(again).find(known.cid) == known

    async def test_a_database_in_trouble_is_told_in_the_ports_words(self) -> None:
        files = SqlFiles(Broken())

        for call in (files.find(file("one").cid), files.page(limit=1, after=None), files.add(file("two"))):
            with pytest.raises(StorageUnavailable) as caught:
                await call
            assert caught.value.code == "storage.unavailable"


class TestPostgresFiles(TestSqliteFiles):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class Broken(SqlEventStore):
    """A store whose disk is full."""

    def __init__(self) -> None:
        """Opens nothing."""

    async def append(self, *_: Any, **__: Any) -> int:
        raise EventStoreUnavailable("the disk is full")

    def reading(self) -> NoReturn:
        raise EventStoreUnavailable("the disk is full")
