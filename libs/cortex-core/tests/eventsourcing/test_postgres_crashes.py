"""PostgreSQL itself is killed, or its disk is full: what was acknowledged is there, and the control loses it."""

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator

import pytest

from cortex_core.eventsourcing import EventStoreUnavailable, NewEvent, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import PostgresServer, eventually

WRITERS = 8
KILLS = 3


async def acknowledged_under_kills(url: str, server: PostgresServer, kills: int) -> list[int]:
    """What `WRITERS` streams were told is durable, while the server is killed and started again."""
    told = [0] * WRITERS
    answers = 0
    failures = 0
    ended = asyncio.Event()

    async with open_event_store(url) as store:

        async def write(number: int) -> None:
            nonlocal answers, failures
            while not ended.is_set():
                try:
                    version = len(await store.read(f"s{number}"))
                    told[number] = await store.append(f"s{number}", [NewEvent("ticked", {})], expected_version=version)
                    answers += 1
                except EventStoreUnavailable as error:
                    assert error.retryable
                    failures += 1
                    await asyncio.sleep(0.01)

        writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
        for kill in range(kills):
            if kill:
                await asyncio.to_thread(server.start)
            enough, failed = answers + 10 * WRITERS, failures
            await eventually(lambda enough=enough: answers >= enough, within=30)
            await asyncio.to_thread(server.stop, kill=True)
            await eventually(lambda failed=failed: failures > failed, within=30)
        ended.set()
        await asyncio.gather(*writers)
    await asyncio.to_thread(server.start)
    return told


async def stored(url: str) -> list[list[int]]:
    async with open_event_store(url) as store:
        return [[each.version for each in await store.read(f"s{number}")] for number in range(WRITERS)]


async def test_what_was_acknowledged_outlives_the_server(postgres_server: PostgresServer, postgres_url: str) -> None:
    told = await acknowledged_under_kills(postgres_url, postgres_server, KILLS)

    assert min(told) > 0
    for acknowledged, versions in zip(told, await stored(postgres_url), strict=True):
        assert versions == list(range(1, len(versions) + 1))
        assert acknowledged <= len(versions) <= acknowledged + 1  # one may have been committed and not yet told


async def test_control_a_server_that_acknowledges_before_its_disk_does_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default turned off, and not turned on again by us: what its memory held is gone."""
    monkeypatch.setattr("cortex_core.eventsourcing.sql.engines.postgresql._DURABLE", "SELECT 1")
    settings = {"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
    with PostgresServer.running(settings=settings) as server, server.database() as url:
        told = await acknowledged_under_kills(url, server, kills=1)

        assert sum(told) > sum(map(len, await stored(url))), "the fault did not fire"


@pytest.fixture
def small_disk(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database on a file system of 16 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    place = postgres_server.folder / "small"
    place.mkdir(exist_ok=True)
    owner = postgres_server.folder.stat().st_uid
    mount = ["mount", "-t", "tmpfs", "-o", f"size=16m,uid={owner},mode=700", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this root may not mount: {mounted.stderr.decode()}")
    try:
        postgres_server.start()
        postgres_server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        postgres_server.execute("CREATE DATABASE small TABLESPACE small TEMPLATE template0")
        # By a statistic that came in time, or did not, a query sorts on disk: where there is room, for it is read back.
        postgres_server.execute("ALTER DATABASE small SET temp_tablespaces = 'pg_default'")
        yield postgres_server.url_of("small")
        postgres_server.execute("DROP DATABASE small WITH (FORCE)")
        postgres_server.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", place], check=True)


async def fill(store: SqlEventStore) -> tuple[int, EventStoreUnavailable]:
    """The last acknowledged version, and what stood in the way of the next."""
    noise = random.Random(7)
    version = 0
    while True:
        big = NewEvent("ticked", {"note": noise.randbytes(50_000).hex()})  # nothing that could be compressed
        try:
            version = await store.append("a", [big], expected_version=version)
        except EventStoreUnavailable as error:
            return version, error


async def test_a_full_disk_acknowledges_nothing_it_cannot_keep(
    small_disk: str, postgres_server: PostgresServer
) -> None:
    async with open_event_store(small_disk) as store:
        acknowledged, error = await fill(store)

        assert acknowledged > 0
        assert error.retryable and "53100" in error.message
        assert [each.version for each in await store.read("a")] == list(range(1, acknowledged + 1))
        with pytest.raises(StaleVersion):
            await store.append("a", [NewEvent("ticked", {})], expected_version=acknowledged + 1)

        place = postgres_server.folder / "small"
        subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)  # noqa: ASYNC221 - somebody makes room
        again = NewEvent("ticked", {"note": "x" * 50_000})
        assert await store.append("a", [again], expected_version=acknowledged) == acknowledged + 1
