"""Answers whose head was read before: they are what they would be if it were read again."""

import asyncio
import random
from typing import Any, Final

import pytest

from cortex_core.chassis import UpstreamUnavailable
from cortex_gateway.adapters.pool.framing import KnownHeads, read_head

from .carrier_server import OK, Hearing, carry, departure, for_ever
from .pool_front import in_front_of

ID: Final = b"\r\nx-request-id: req_1\r\n"
EMPTY: Final = b"HTTP/1.1 204 No Content\r\nETag: a\r\n\r\n"
ANSWERS: Final = (
    OK,
    OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",  # what comes behind an answer is nobody's
    OK[:-1],
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
    EMPTY,
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 503 Not Now\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nDate: now\r\nX-Request-Id: req_1\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nLocation: /req_1\r\nContent-Length: 0\r\n\r\n",
)
"""Each is all that a service sends."""
UNENDED: Final = {1, 2, 8, 9, 11, 12}
"""Those after which a connection is not used again. A service that hung up after another could be asked meanwhile."""


def outcome(hearing: Hearing) -> tuple[Any, ...]:
    return (hearing.head, hearing.body, type(hearing.error), str(hearing.error), hearing.heard[-1])


async def asked(pool: Any, order: list[tuple[bytes, bytes]]) -> list[tuple[Any, ...]]:
    return [outcome(await carry(pool, method=method, echo=ID, target=target)) for target, method in order]


async def by_target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The answer whose number is asked for; it hangs up where its end would not be seen."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        number = int(head.split(b" ", 2)[1][1:])
        reply = ANSWERS[number]
        bodiless = head.startswith(b"HEAD")
        writer.write(reply[: reply.rindex(b"\r\n\r\n") + 4] if bodiless else reply)
        if number in UNENDED and not bodiless:
            return


@pytest.mark.parametrize("seed", range(2))
async def test_any_sequence_is_heard_as_each_of_it_alone(seed: int) -> None:
    choose = random.Random(seed)
    order = [
        (b"/%d" % choose.choice([0, 0, 0, *range(len(ANSWERS))]), choose.choices([b"POST", b"HEAD"], (5, 1))[0])
        for _ in range(25)
    ]
    order = [(target, b"POST" if int(target[1:]) in {1, 2, 10, 11} else method) for target, method in order]
    async with in_front_of(by_target) as front:
        together = await asked(front.pool, order)
        assert front.order.replicas.all[0].known.find(OK[:-2]) is not None
    for each, heard in zip(order, together, strict=True):
        async with in_front_of(by_target) as front:
            assert await asked(front.pool, [each]) == [heard], each


async def test_what_is_said_back_does_not_make_answers_different() -> None:
    ids = iter(range(100))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nx-request-id: req_%d\r\nContent-Length: 2\r\n\r\n{}" % next(ids))

    async with in_front_of(script) as front:
        heads = [(await carry(front.pool, echo=b"\r\nx-request-id: req_%d\r\n" % each)).head for each in range(3)]
        other = (await carry(front.pool, echo=b"\r\nx-request-id: req_other\r\n")).head

    assert heads[1] is heads[2]
    assert heads[0] is not None
    assert heads[0].fields == b"Content-Length: 2\r\n"
    assert other is not None
    assert other.fields == b"x-request-id: req_3\r\nContent-Length: 2\r\n"


async def test_only_the_line_itself_is_what_is_said_back() -> None:
    fields = b"Location: req_1\r\nX-Request-Id: req_1\r\nx-request-id: req_12\r\nContent-Length: 0\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")

    async with in_front_of(script) as front:
        heads = [(await carry(front.pool, echo=ID)).head for _ in range(3)]

    assert [head and head.fields for head in heads] == [fields] * 3


async def test_a_known_answer_that_says_it_cannot_is_evidence_each_time() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n")

    async with in_front_of(script) as front:
        for _ in range(20):
            assert (await carry(front.pool)).error is None
        refused = await carry(front.pool)

    assert isinstance(refused.error, UpstreamUnavailable)
    assert "its circuit is open" in refused.error.message


async def test_what_comes_behind_a_known_answer_is_not_the_next_ones() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + OK.replace(b"{}", b"[]"))
        await reader.read()

    async with in_front_of(script) as front:
        bodies = [(await carry(front.pool)).body for _ in range(6)]

    assert (bodies, connections) == ([b"{}"] * 6, 2)


@pytest.mark.parametrize(("length", "body"), [(16 << 20, bytes(100_000)), (16 << 20, bytes(16 << 20))])
async def test_a_known_answer_that_comes_before_the_request_was_sent_ends_the_connection(
    length: int, body: bytes
) -> None:
    """Else the next request would be the rest of this one's body: which the client has not sent, or we have not."""
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while b"GET" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
        writer.write(OK)
        await for_ever()

    async with in_front_of(script) as front:
        for _ in range(2):
            await carry(front.pool)
        early = Hearing()
        front.pool.begin(departure(method=b"POST", length=length, streams=True), body, early)
        await asyncio.wait_for(early.over.wait(), 10)
        assert (early.body, early.error, front.order.idle()) == (b"{}", None, 0)
        then = await carry(front.pool)

    assert (then.body, connections) == (b"{}", 2)


async def test_places_connections_and_replicas_are_given_back() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)

    async with in_front_of(script) as front:
        for _ in range(3):
            await carry(front.pool)

        assert (front.order.bulkhead.in_use, front.order.outstanding(), front.order.active()) == (0, 0, 0)
        assert front.order.idle() == 1


def test_few_heads_are_known_and_only_those_behind_which_the_connection_lasts() -> None:
    known = KnownHeads()
    for number in range(1000):
        head = b"HTTP/1.1 200 OK\r\nDate: %d\r\nContent-Length: 2\r\n\r\n" % number
        known.keep(head, read_head(head, bodiless=False))
    others = [each.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for each in ANSWERS[8:12]]
    for head in others:
        known.keep(head, read_head(head, bodiless=False))

    assert known.find(b"HTTP/1.1 200 OK\r\nDate: 999\r\nContent-Length: 2\r\n\r\n") is not None
    assert len(known._heads) <= 64
    assert [known.find(head) for head in others] == [None] * 4
