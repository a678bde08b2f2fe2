"""One event store under many writers or one: how many appends a second are durable.

Arguments: store, where (a folder, or a PostgreSQL's URL), writers, seconds of the turn. Prints JSON. Each writer has a
stream of its own, and appends one event with the next version as soon as the last one is acknowledged.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import uvloop

DATA: Final = {
    "orderId": "ord_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f",
    "customerId": "cus_42",
    "total": 2500,
    "currency": "EUR",
}


@dataclass(frozen=True, slots=True)
class Load:
    where: str
    writers: int
    seconds: float


async def ours(load: Load, *, messages: bool = False, rows: int | None = None) -> float:
    """`rows` 1: a commit for each append, which is group commit turned off."""
    from cortex_core.eventsourcing import Message, NewEvent
    from cortex_core.eventsourcing.sql import GroupLimits, open_event_store

    url = load.where if "://" in load.where else f"sqlite+aiosqlite:///{load.where}/ours.db"
    async with open_event_store(url, group=GroupLimits() if rows is None else GroupLimits(rows=rows)) as store:
        mine = uuid4().hex  # a database that lives longer than this process has streams of those before

        async def append(writer: int, version: int) -> None:
            event = NewEvent("order.created", DATA)
            sent = [Message(event.id, "order", f"s{writer}", b'{"specversion":"1.0"}')] if messages else ()
            await store.append(f"{mine}-{writer}", [event], expected_version=version, messages=sent)

        return await _by_tasks(append, load)


async def _by_tasks(append: Callable[[int, int], Awaitable[None]], load: Load) -> float:
    counts = [1] * load.writers
    await asyncio.gather(*(append(writer, 0) for writer in range(load.writers)))
    began = time.perf_counter()
    over = began + load.seconds

    async def write(writer: int) -> None:
        while time.perf_counter() < over:
            await append(writer, counts[writer])
            counts[writer] += 1

    await asyncio.gather(*(write(writer) for writer in range(load.writers)))
    return (sum(counts) - load.writers) / (time.perf_counter() - began)


def peer(load: Load, *, recorder_alone: bool = False) -> float:
    """The package's `EventStore.put` over its SQLite recorder, in WAL mode and, as a connection is by default, with
    synchronous=FULL. One connection: SQLite takes one writer at a time, and more of them only wait for its lock."""
    from eventsourcing.persistence import DatetimeAsISO, EventStore, JSONTranscoder, Mapper, StoredEvent, UUIDAsHex
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    from benchmarks.programs.peer_events import OrderCreated

    datastore = SQLiteDatastore(f"{load.where}/peer.db", pool_size=1, max_overflow=0, pool_timeout=60.0)
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    with datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA synchronous")
        if cursor.fetchone()[0] != 2:
            raise SystemExit("the peer is not durable: that would be another contest")
    transcoder = JSONTranscoder()
    transcoder.register(UUIDAsHex())
    transcoder.register(DatetimeAsISO())
    store = EventStore(Mapper(transcoder), recorder)
    state = json.dumps(DATA).encode()

    def put(stream: UUID, version: int) -> None:
        store.put([OrderCreated.of(stream, version, DATA)])

    def record(stream: UUID, version: int) -> None:
        recorder.insert_events([StoredEvent(stream, version, "order.created", state)])

    return _by_threads(record if recorder_alone else put, load)


def _by_threads(put: Callable[[UUID, int], None], load: Load) -> float:
    streams = [uuid4() for _ in range(load.writers)]
    counts = [1] * load.writers
    for stream in streams:
        put(stream, 1)
    began = time.perf_counter()
    over = began + load.seconds

    def write(writer: int) -> None:
        while time.perf_counter() < over:
            put(streams[writer], counts[writer] + 1)
            counts[writer] += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(load.writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (sum(counts) - load.writers) / (time.perf_counter() - began)


STORES: Final[dict[str, Callable[[Load], Any]]] = {
    "group": ours,
    "group-messages": lambda load: ours(load, messages=True),
    "single": lambda load: ours(load, rows=1),
    "peer": peer,
    "peer-recorder": lambda load: peer(load, recorder_alone=True),
}


def main() -> None:
    name, where, writers, seconds = sys.argv[1:]
    turn = STORES[name](Load(where, int(writers), float(seconds)))
    rate = turn if isinstance(turn, float) else uvloop.run(turn)
    sys.stdout.write(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
