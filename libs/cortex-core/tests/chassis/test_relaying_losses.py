"""A real Redis that loses what it had acknowledged, in each way it can; and the relay that gives it again.

Each way is one of the losses that ADR 2 speaks of. The control is the same relay on a wire that remembers no number:
then what was lost stays lost.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cortex_core.chassis.relaying import BusWire
from cortex_core.events import CloudEvent, EventBus
from cortex_core.events.redis import RedisEventBus
from cortex_core.eventsourcing import RELAY, Leadership, Message, Relay, RelaySettings, Wire
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import RedisServer, eventually

STREAM = "test:public:events:order"
QUICK = RelaySettings(batch=5, look=0.2, interval=0.1, base_delay=0.05, max_delay=0.2)
Lose = Callable[[], Awaitable[None]]


class ForgetfulWire:
    """The control: it publishes as one did before there were numbers."""

    def __init__(self, bus: EventBus) -> None:
        self.bus = bus
        self.number = 0

    async def last(self) -> int:
        return self.number

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        await self.bus.publish([CloudEvent.from_json(message.payload) for message in messages])
        self.number = batch
        return batch


class Losing:
    """The ways. Each is prepared, sees more events come, and then loses those (or all)."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    async def by_flushall(self) -> Lose:
        async def lose() -> None:
            self.server.flush()

        return lose

    async def by_an_empty_disk(self) -> Lose:
        async def lose() -> None:
            await asyncio.to_thread(self.server.stop, kill=True)
            self._put_back(None)
            await asyncio.to_thread(self.server.start)

        return lose

    async def by_its_last_second(self) -> Lose:
        """A power cut: the append-only file ends where it was last synced."""
        await eventually(lambda: "aof_pending_bio_fsync:0" in self.server.command("INFO", "persistence"))
        synced = self.folder / "synced"
        shutil.copytree(self.server.folder, synced)

        async def lose() -> None:
            await asyncio.to_thread(self.server.stop, kill=True)
            self._put_back(synced)
            await asyncio.to_thread(self.server.start)

        return lose

    async def by_a_fail_over(self) -> Lose:
        """To a replica that had lagged: it has heard nothing since now."""
        replica = RedisServer(self.server._binary, self.folder / "replica")
        replica.folder.mkdir()
        await asyncio.to_thread(replica.start)
        self.server.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        replica.command("REPLICAOF", "127.0.0.1", str(self.server.port))
        await eventually(lambda: "master_link_status:up" in replica.command("INFO", "replication"), within=20)
        await eventually(lambda: replica.command("XLEN", STREAM) == self.server.command("XLEN", STREAM))
        replica.command("REPLICAOF", "NO", "ONE")
        await eventually(lambda: "aof_rewrite_in_progress:0" in replica.command("INFO", "persistence"))
        await eventually(lambda: "aof_rewrite_scheduled:0" in replica.command("INFO", "persistence"))
        await asyncio.to_thread(replica.stop, kill=True)

        async def lose() -> None:
            await asyncio.to_thread(self.server.stop, kill=True)
            self._put_back(replica.folder)  # the replica takes its place, and its address
            await asyncio.to_thread(self.server.start)

        return lose

    def _put_back(self, state: Path | None) -> None:
        for each in self.server.folder.iterdir():
            if each.name != "log":
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        if state is not None:
            shutil.copytree(state, self.server.folder, dirs_exist_ok=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(f"sqlite+aiosqlite:///{tmp_path}/store.db") as store:
        yield store


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[RedisEventBus]:
    bus = RedisEventBus(redis_url, namespace="test", timeout=0.5)
    yield bus
    await bus.aclose()


@pytest.fixture(params=["by_flushall", "by_an_empty_disk", "by_its_last_second", "by_a_fail_over"])
def way(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Callable[[], Awaitable[Lose]]:
    prepare: Callable[[], Awaitable[Lose]] = getattr(Losing(redis_server, tmp_path), request.param)
    return prepare


@asynccontextmanager
async def relaying_over(store: SqlEventStore, wire: Wire) -> AsyncIterator[Relay]:
    relay = Relay(store.outbox, wire, Leadership(store.leases, RELAY), settings=QUICK)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.wait([task])


async def add(store: SqlEventStore, numbers: range) -> None:
    """Of five orders, in turns."""
    for number in numbers:
        event = CloudEvent.about(
            "order.created", source="/t", subject=f"ord_{number % 5}", data={"number": number}, id=f"e{number}"
        )
        async with store.transaction() as transaction:
            await store.enqueue(transaction, [Message(event.id, "order", event.subject, event.to_json())])


def held(server: RedisServer) -> list[int]:
    """What a consumer would find in the stream, once each, in the order of its first coming."""
    try:
        entries = server.command("XRANGE", STREAM, "-", "+")
    except (OSError, RuntimeError):
        return []
    return list(dict.fromkeys(json.loads(fields[1])["data"]["number"] for _, fields in entries))


async def through_a_loss(
    store: SqlEventStore, server: RedisServer, wire: Wire, way: Callable[[], Awaitable[Lose]], again: range
) -> None:
    """Thirty events, ten of them after the loss was prepared; then it comes, and `again` ones after it."""
    async with relaying_over(store, wire) as relay:
        await add(store, range(20))
        await eventually(lambda: held(server) == list(range(20)))
        lose = await way()
        await add(store, range(20, 30))
        await eventually(lambda: held(server) == list(range(30)))
        await eventually(lambda: _idle(store))

        await lose()
        assert len(held(server)) < 30, "the fault did not fire"
        await add(store, again)
        await relay.settle(5)
        await eventually(lambda: _idle(store), within=30)
        await eventually(lambda: set(again) <= set(held(server)) and (not isinstance(wire, BusWire) or _all(server)))


def _all(server: RedisServer) -> bool:
    return len(held(server)) >= 30


async def _idle(store: SqlEventStore) -> bool:
    return await store.outbox.count_pending() == 0


@pytest.mark.parametrize("again", [range(30, 40), range(0)], ids=["busy", "idle"])
async def test_nothing_is_missing_and_each_order_is_in_order(
    store: SqlEventStore,
    bus: RedisEventBus,
    redis_server: RedisServer,
    way: Callable[[], Awaitable[Lose]],
    again: range,
) -> None:
    await through_a_loss(store, redis_server, BusWire(bus, "order"), way, again)

    found = held(redis_server)
    assert set(found) == set(range(30)) | set(again)
    for order in range(5):
        mine = [number for number in found if number % 5 == order]
        assert mine == sorted(mine)


async def test_control_on_a_wire_that_remembers_no_number_what_was_lost_stays_lost(
    store: SqlEventStore, bus: RedisEventBus, redis_server: RedisServer, way: Callable[[], Awaitable[Lose]]
) -> None:
    await through_a_loss(store, redis_server, ForgetfulWire(bus), way, range(30, 40))

    assert len(held(redis_server)) < 40


async def test_wiped_again_and_again_under_load_nothing_is_missing(
    store: SqlEventStore, bus: RedisEventBus, redis_server: RedisServer
) -> None:
    """No question comes between a wipe and the next publication: that one has to notice."""
    async with relaying_over(store, BusWire(bus, "order")):
        for wipe in range(5):
            adding = asyncio.create_task(add(store, range(wipe * 40, wipe * 40 + 40)))
            await eventually(lambda: len(held(redis_server)) > 10)
            redis_server.flush()
            await adding
        await eventually(lambda: _idle(store), within=30)
        await eventually(lambda: len(held(redis_server)) == 200, within=30)

    found = held(redis_server)
    assert all((mine := [number for number in found if number % 5 == order]) == sorted(mine) for order in range(5))
