"""Requests like the last one on their connection: answered without being parsed, and otherwise as any other is."""

import asyncio
import random
import re
from typing import Any, Final

import pytest

from cortex_core.chassis.http_protocol.watch import Phase
from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.ratelimit import LeasedLimiter, RateLimiter
from cortex_core.testing import eventually
from cortex_gateway.dataplane import ExpressProtocol
from cortex_gateway.dataplane.prepared import Budget, Remembered

from .express_wire import connected, whole
from .repeated_requests import LIST, asking

COMPLETED: Final = {"orderId": "ord_1", "customerId": "c", "total": 1, "currency": "EUR", "processingTime": 0.5}
_OURS: Final = re.compile(rb"\A(x-request-id|traceparent|x-cortex-principal|x-request-deadline)\Z")

LINES: Final = (
    b"GET /api HTTP/1.1",
    b"HEAD /api HTTP/1.1",
    b"GET /api/storage/files HTTP/1.1",
    b"GET /api/storage/files?limit=2 HTTP/1.1",
    b"GET /api/storage/files?limit=%32 HTTP/1.1",
    b"HEAD /api/storage/files/bafy HTTP/1.1",
    b"GET /api/storage/files/%62afy HTTP/1.1",
    b"GET /api/nowhere HTTP/1.1",
    b"GET /api/storage/files/.. HTTP/1.1",
    b"DELETE /api/storage/files/bafy HTTP/1.1",
    b"GET  /api HTTP/1.1",
    b"GET /api HTTP/1.0",
)
FIELDS: Final = (
    b"Host: hub\r\n",
    b"Host: hub\r\nAccept-Encoding: gzip\r\n",
    b"Host: hub\r\nAccept-Encoding: identity;q=0\r\n",
    b"Host: hub\r\nX-Request-Id: mine\r\n",
    b'Host: hub\r\nIf-None-Match: "a"\r\n',
    b"Host: hub\r\nX-Request-Deadline: 5000\r\n",
    b"Host: hub\r\nContent-Length: 0\r\n",
    b"Host: hub\r\nConnection: close\r\n",
    b"Host: hub\r\nHost: hub\r\n",
    b"Host: hub\r\nTransfer-Encoding: gzip\r\n",
)


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_is_answered_as_each_of_it_alone(
    start_express: Any, recorder: Any, seed: int, unparsed: list[bytes]
) -> None:
    """A request that is the first of its connection is parsed: what it gets, and what reached the service for it, is
    what it gets behind any others."""
    choose = random.Random(seed)
    fields = [FIELDS[0], *choose.sample(FIELDS[1:], 2)]
    requests = [b"%b\r\n%b\r\n" % (choose.choice(LINES), choose.choices(fields, (6, 2, 1))[0]) for _ in range(60)]
    said = [(b"content-type", b"application/json"), (b"content-length", b"12"), (b"etag", b'"b"')]
    storage = recorder(body=b'{"files":[]}', headers=said)

    def reached() -> list[Any]:
        seen = [
            (each["method"], each["raw_path"], each["query_string"], _theirs(each["headers"]))
            for each in storage.requests
        ]
        storage.requests.clear()
        return seen

    async with start_express(storage=storage) as client:
        at = 0
        while at < len(requests):
            async with asking(client) as ask:
                for request in requests[at:]:
                    together, then = await ask(request), reached()
                    async with asking(client) as alone:
                        assert (together, then) == (await alone(request), reached()), request
                    at += 1
                    if b"connection: close" in together[0].lower() or together[0].startswith(b"HTTP/1.1 4"):
                        break  # some of the refusals end it
    assert unparsed


def _theirs(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if not _OURS.match(name)]


async def test_a_repeated_request_is_not_parsed_and_has_ids_of_its_own(
    start_express: Any, recorder: Any, unparsed: list[bytes]
) -> None:
    storage = recorder()
    async with start_express(storage=storage) as client, asking(client) as ask:
        answers = [await ask(LIST + b"\r\n") for _ in range(3)]
        await ask(LIST.replace(b"files", b"files/bafy") + b"\r\n")

    assert len(set(answers)) == 1
    assert unparsed == [b"/api/storage/files"] * 2 + [b"/api/storage/files/bafy"]
    ids = [dict(each["headers"]) for each in storage.requests]
    assert len({each[b"x-request-id"] for each in ids}) == len({each[b"traceparent"] for each in ids}) == 4


@pytest.mark.parametrize("limit", [0, 1000])  # none, and one that has to be asked
async def test_a_body_that_comes_with_a_known_head_arrives_whole(
    start_express: Any, recorder: Any, unparsed: list[bytes], limit: int
) -> None:
    order = recorder(status=201)
    head = b"POST /api/orders HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%b"
    bodies = [b"abc", b"cba", b"longer", b"", b"bac"]
    async with start_express({"rate_limit_per_minute": limit}, order=order) as client, asking(client) as ask:
        statuses = [(await ask(head % (len(body), body)))[0][9:12] for body in bodies]

    assert statuses == [b"201"] * 5
    assert [each["body"] for each in order.requests] == bodies
    assert len(unparsed) == 2


async def test_a_body_that_comes_later_is_waited_for(start_express: Any, recorder: Any, unparsed: list[bytes]) -> None:
    order = recorder(status=201, headers=[(b"content-length", b"2")])
    head = b"POST /api/orders HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\n"
    async with start_express(order=order) as client, connected(client) as (reader, writer):
        for parts in ((head + b"abc",), (head, b"abc"), (head + b"a", b"bc"), (head + b"abc" + head, b"abc")):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            for _ in range(parts[0].count(b"POST")):
                assert (await whole(reader))[0] == 201

    assert [each["body"] for each in order.requests] == [b"abc"] * 5
    assert unparsed == []


async def test_what_a_repeated_request_changes_is_kept_no_longer(start_express: Any, recorder: Any) -> None:
    order = recorder(body=b"[]", headers=[(b"cache-control", b"max-age=60")])
    read = b"GET /api/orders/ord_1 HTTP/1.1\r\nHost: hub\r\n\r\n"
    change = b"POST /api/orders/ord_1/cancel HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n"
    async with start_express(order=order) as client, asking(client) as ask:
        said = [(await ask(each))[0] for each in (read, read, change, read, read, change, read)]

    assert [b"; hit" in each for each in said] == [False, True, False, False, True, False, False]


async def test_who_does_not_take_its_answers_gets_no_more_of_them(
    start_express: Any, recorder: Any, unparsed: list[bytes], connections: list[Any]
) -> None:
    """As its transport says when its buffer is full: then the application waits until it is taken."""
    head = b"GET /api HTTP/1.1\r\nHost: hub\r\n\r\n"
    async with start_express(storage=recorder()) as client, connected(client) as (reader, writer):
        for _ in range(2):
            writer.write(head)
            assert (await whole(reader))[0] == 200
        assert unparsed == [b"/api"]
        connection = connections[-1]
        connection.pause_writing()
        served = connection.server_state.total_requests
        writer.write(head)
        await eventually(lambda: connection.watch.phase is Phase.BUSY or len(unparsed) > 1)
        assert connection.server_state.total_requests == served
        connection.resume_writing()
        assert (await whole(reader))[0] == 200

    assert unparsed == [b"/api"]


async def test_a_limit_holds(start_express: Any, recorder: Any) -> None:
    async with start_express({"rate_limit_per_minute": 4}, storage=recorder()) as client, asking(client) as ask:
        statuses = [(await ask(LIST + b"\r\n"))[0][9:12] for _ in range(6)]

    assert statuses == [b"200"] * 4 + [b"429"] * 2


@pytest.mark.parametrize("asked", [True, False])
async def test_who_is_refused_takes_no_memory_and_who_leaves_gives_it_back(
    start_express: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """Whether the limit can be told at once, or its store has to be `asked`."""
    if asked:
        monkeypatch.setattr(LeasedLimiter, "spend", lambda *_, **__: None)
        monkeypatch.setattr(RateLimiter, "spend", lambda *_, **__: None)
    budget = Budget()
    monkeypatch.setattr(ExpressProtocol, "budget", budget)
    post = b"POST /api/orders HTTP/1.1\r\nHost: hub\r\nContent-Length: 2\r\n\r\n{}"
    services = {"storage": recorder(), "order": recorder(headers=[(b"content-length", b"0")])}
    lefts = [budget.left]
    async with start_express({"rate_limit_per_minute": 2}, **services) as client:
        async with asking(client) as ask:
            for request in (post, LIST + b"\r\n", LIST.replace(b"files", b"files/bafy") + b"\r\n", post):
                status = (await ask(request))[0][9:12]
                lefts.append(budget.left)
                assert status == (b"429" if len(lefts) > 3 else b"200")
            async with asking(client) as other:
                for request in (post, LIST + b"\r\n", LIST + b"A: b\r\n\r\n"):
                    assert (await other(request))[0][9:12] == b"429"
                    assert budget.left == lefts[-1]
        await eventually(lambda: budget.left == lefts[0])

    assert lefts[0] > lefts[1] > lefts[2] == lefts[3] == lefts[4]


async def test_beyond_the_budget_requests_are_parsed_and_answered_the_same(
    start_express: Any, recorder: Any, unparsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExpressProtocol, "budget", Budget(100))
    async with start_express(storage=recorder()) as client, asking(client) as ask:
        answers = {await ask(LIST + b"\r\n") for _ in range(3)}

    assert (len(answers), unparsed) == (1, [])


async def test_what_is_kept_is_answered_and_an_event_ends_that(start_express: Any, recorder: Any) -> None:
    order, bus = recorder(body=b"[]", headers=[(b"cache-control", b"max-age=60")]), MemoryEventBus()
    head = b"GET /api/orders/ord_1 HTTP/1.1\r\nHost: hub\r\n\r\n"
    async with start_express(None, {"bus": bus}, order=order) as client, asking(client) as ask:
        said = [(await ask(head))[0] for _ in range(3)]
        schema = "urn:cortex:event:order.completed/1"
        await bus.publish([CloudEvent("order.completed", "cortex/order", "ord_1", COMPLETED, dataschema=schema)])
        for _ in range(200):  # until the event was heard
            if b"; hit" not in (await ask(head))[0]:
                break
            await asyncio.sleep(0.005)

    assert [b"; hit" in each for each in said] == [False, True, True]
    assert len(order.requests) == 2


async def test_a_connection_without_a_memory_answers_the_same(
    start_express: Any, recorder: Any, unparsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: nothing but the memory keeps requests from being parsed."""
    monkeypatch.setattr(Remembered, "keep", lambda *_: None)
    async with start_express(storage=recorder()) as client, asking(client) as ask:
        answers = [await ask(LIST + b"\r\n") for _ in range(3)]

    assert len(set(answers)) == 1
    assert unparsed == []
