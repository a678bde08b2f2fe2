"""`Idempotency-Key`: a request sent again is answered again, and places nothing."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from cortex_core.events import MemoryEventBus
from cortex_core.testing import FakeClock, eventually, serving
from cortex_order.settings import Settings
from cortex_order.wiring import build

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
DAY = 86_400


@pytest.fixture
def start(settings: Settings, payments: Any, clock: FakeClock, bus: MemoryEventBus, api_of: Any) -> Any:
    """`async with start() as api`: a replica on the test's database."""

    class Replica:
        async def __aenter__(self) -> Any:
            self._stack = AsyncExitStack()
            app = build(settings, clock=clock, bus=bus, payments=payments)
            return api_of(await self._stack.enter_async_context(serving(app)))

        async def __aexit__(self, *_: object) -> None:
            await self._stack.aclose()

    return Replica


def connected(settings: Settings) -> sqlite3.Connection:
    """Another process's connection, as it were. What has to wait for a turn to write is run in a thread: the service
    that has its turn lives in this one."""
    return sqlite3.connect(
        make_url(settings.database_url).database or "", isolation_level=None, check_same_thread=False, timeout=30.0
    )


def rows(settings: Settings, table: str = "idempotency_keys") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(make_url(settings.database_url).database or "")) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


async def listed(api: Any) -> list[str]:
    return [order["orderId"] for order in (await api.get("/orders")).body["orders"]]


def same(one: Any, other: Any) -> bool:
    headers = ("Location", "ETag", "Content-Type")
    return (one.status, one.body) == (other.status, other.body) and all(
        one.headers[name] == other.headers[name] for name in headers
    )


async def test_the_same_request_again_gets_the_same_answer_and_places_nothing(api: Any) -> None:
    first, second = await api.place(KEY), await api.place(KEY)

    assert first.status == 201
    assert same(first, second)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await listed(api) == [first.body["orderId"]]


async def test_the_answer_is_the_one_given_then_whatever_has_become_of_the_order(api: Any, payments: Any) -> None:
    first = await api.place(KEY)
    await api.settled(first.body["orderId"])

    second = await api.place(KEY)

    assert second.body["status"] == "pending"
    assert same(first, second)
    assert len(payments.charges) == 1


async def test_it_is_the_same_after_a_restart_and_from_another_replica(start: Any) -> None:
    async with start() as before:
        first = await before.place(KEY)
    async with start() as after, start() as replica:
        second, third = await after.place(KEY), await replica.place(KEY)

        assert same(first, second)
        assert same(first, third)
        assert await listed(after) == [first.body["orderId"]]


async def test_a_key_may_come_bare_or_as_a_string(api: Any) -> None:
    first, second = await api.place('"abc"'), await api.place("abc")

    assert same(first, second)


async def test_what_is_meant_counts_and_not_how_it_is_spelled(api: Any, order: dict[str, Any]) -> None:
    first = await api.place(KEY)
    items = [{"unitPrice": 1250, "currency": "EUR", "quantity": 2, "sku": "book"}]

    second = await api.post("/orders", {**dict(reversed(order.items())), "items": items}, {"Idempotency-Key": KEY})

    assert same(first, second)


@pytest.mark.parametrize(
    "changes",
    [
        {"customerId": "cus_2"},
        {"currency": "USD"},
        {"paymentToken": "tok_other"},
        {"items": [{"sku": "book", "quantity": 3, "unitPrice": 1250}]},
        {"items": [{"sku": "book", "quantity": 2, "unitPrice": 1251}]},
        {"items": [{"sku": "brook", "quantity": 2, "unitPrice": 1250}]},
        {"items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}] * 2},
    ],
    ids=str,
)
async def test_a_key_of_another_order_is_refused(api: Any, changes: dict[str, Any]) -> None:
    first = await api.place(KEY)

    second = await api.place(KEY, **changes)

    assert second.code == (422, "idempotency.key-reused")
    assert await listed(api) == [first.body["orderId"]]


async def test_two_keys_are_two_orders_and_so_are_none(api: Any) -> None:
    placed = [await api.place(key) for key in ("a", "A", None, None)]

    assert len({each.body["orderId"] for each in placed}) == 4


async def test_a_refused_request_is_not_remembered(api: Any, settings: Settings) -> None:
    refused = await api.place(KEY, items=[])
    assert refused.code == (422, "order.empty")
    assert rows(settings) == []

    placed = await api.place(KEY)

    assert placed.status == 201
    assert "Idempotency-Replayed" not in placed.headers


async def test_a_request_that_fails_leaves_no_key_and_no_order(api: Any, settings: Settings) -> None:
    boom = "CREATE TRIGGER boom BEFORE INSERT ON settlements BEGIN SELECT RAISE(ABORT, 'trouble'); END"
    with closing(connected(settings)) as database:
        await asyncio.to_thread(database.execute, boom)
        failed = await api.place(KEY)
        assert failed.status == 500
        assert (rows(settings), rows(settings, "events")) == ([], [])
        await asyncio.to_thread(database.execute, "DROP TRIGGER boom")

    placed = await api.place(KEY)

    assert placed.status == 201
    assert await listed(api) == [placed.body["orderId"]]


async def test_a_key_is_forgotten_after_a_day_and_not_before(api: Any, clock: FakeClock) -> None:
    first = await api.place(KEY)

    await clock.leap(DAY - 0.001)
    kept = await api.place(KEY)
    await clock.advance(0.001)
    forgotten = await api.place(KEY)
    again = await api.place(KEY)

    assert same(first, kept)
    assert forgotten.status == 201
    assert forgotten.body["orderId"] != first.body["orderId"]
    assert same(forgotten, again)


async def test_what_is_forgotten_is_deleted_in_the_background(api: Any, clock: FakeClock, settings: Settings) -> None:
    await api.place("old")
    await clock.leap(DAY)
    await api.place("new")

    async def pruned() -> bool:
        await clock.advance(60)
        return [row[1] for row in rows(settings)] == ["new"]

    await eventually(pruned)


async def test_each_tenant_has_its_own_keys(settings: Settings, payments: Any, bus: Any, api_of: Any) -> None:
    both = settings.model_copy(update={"tenants": frozenset({"public", "acme"})})
    async with serving(build(both, bus=bus, payments=payments)) as client:
        mine = await api_of(client).place(KEY)
        client.headers["X-Cortex-Tenant"] = "acme"
        theirs = await api_of(client).place(KEY)
        again = await api_of(client).place(KEY)

    assert theirs.status == 201
    assert theirs.body["orderId"] != mine.body["orderId"]
    assert same(theirs, again)


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        '""',
        '"',
        '"a',
        '"a"b',
        '"a";p=1',
        '"a", "b"',
        "a b",
        '"a b"',
        "a\tb",
        '"a\\b"',
        "\xe9",
        '"\xe9"',
        "a" * 256,
        f'"{"a" * 256}"',
        "\\" * 256,
    ],
    ids=ascii,
)
async def test_what_is_no_key_is_refused(api: Any, key: str) -> None:
    reply = await api.place(key)

    assert reply.code == (400, "idempotency.invalid-key")
    assert await listed(api) == []


async def test_two_keys_at_once_are_refused(api: Any, order: dict[str, Any]) -> None:
    reply = await api.post("/orders", order, [("Idempotency-Key", "a"), ("Idempotency-Key", "a")])

    assert reply.code == (400, "idempotency.invalid-key")


@pytest.mark.parametrize(
    ("string", "bare"), [('"a\\"b"', None), ('"a\\\\b"', "a\\b"), (f'"{"x" * 255}"', "x" * 255), ("!~", '"!~"')]
)
async def test_a_string_is_unescaped(api: Any, string: str, bare: str | None) -> None:
    first = await api.place(string)
    assert first.status == 201

    if bare is not None:
        assert same(first, await api.place(bare))


async def test_the_table_holds_no_payment_token_and_the_same_order_looks_different_under_another_key(
    api: Any, settings: Settings
) -> None:
    await api.place("a")
    await api.place("b")

    (one, other) = rows(settings)
    assert "canary" not in f"{one}{other}"
    assert one[2] != other[2]
    assert len(one[2]) == len(other[2]) == 64


class TestManyAtOnce:
    async def test_of_a_hundred_requests_with_one_key_one_places_the_order(self, api: Any, payments: Any) -> None:
        replies = await asyncio.gather(*(api.place(KEY) for _ in range(100)))

        assert_one_order(replies)
        assert len(await listed(api)) == 1
        await eventually(lambda: payments.charges)
        assert len(payments.charges) == 1

    async def test_of_two_replicas_that_race_one_places_the_order(self, start: Any, payments: Any) -> None:
        async with start() as one, start() as other:
            replies = await asyncio.gather(*(api.place(KEY) for _ in range(25) for api in (one, other)))

            assert_one_order(replies)
            assert await listed(one) == await listed(other)
            assert len(await listed(one)) == 1

    async def test_a_second_one_meanwhile_is_told_to_ask_again(self, api: Any, settings: Settings) -> None:
        with closing(connected(settings)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # whoever is first waits for a turn to write
            both = {asyncio.create_task(api.place(KEY)) for _ in range(2)}
            done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            foreign = await api.place(KEY, customerId="cus_2")
            other.execute("ROLLBACK")

        [refused], [first] = [each.result() for each in done], waiting
        assert (refused.code, refused.headers["Retry-After"]) == ((409, "idempotency.in-progress"), "1")
        assert foreign.code == (409, "idempotency.in-progress")
        assert same(await first, await api.place(KEY))


def assert_one_order(replies: list[Any]) -> None:
    """One 201, its like marked as replayed, and nothing else but 409."""
    placed = [reply for reply in replies if reply.status == 201]
    assert len({reply.body["orderId"] for reply in placed}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in placed) == 1
    assert all(same(placed[0], reply) for reply in placed)
    others = Counter(reply.code for reply in replies if reply.status != 201)
    assert others.keys() <= {(409, "idempotency.in-progress")}
