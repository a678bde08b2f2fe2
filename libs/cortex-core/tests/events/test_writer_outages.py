"""The writer when Redis goes, hangs, forgets the script, or is no master any more."""

import asyncio

import pytest

from cortex_core.events import BusUnavailable
from cortex_core.events.redis import writer as rules
from cortex_core.events.redis.commands import packed
from cortex_core.events.redis.link import Refused

from .writing import NOSCRIPT, WELL, Server, begun, connected, flooded, goes_well, make_writer, turns


async def test_without_a_connection_callers_are_told_that_nothing_was_sent() -> None:
    server = Server()
    server.refuses = ConnectionRefusedError("nobody there")
    writer = make_writer(server)

    with pytest.raises(BusUnavailable, match="ConnectionRefusedError") as raised:
        await writer.write([("k", b"1")])

    assert (raised.value.attempted, raised.value.retryable) == (False, True)
    assert "nobody" not in raised.value.message
    server.refuses = None
    await goes_well(server, writer, dials=2)


async def test_who_has_no_reply_when_the_connection_breaks_is_told_and_who_was_not_sent_goes_over_the_next() -> None:
    server = Server()
    writer = await connected(server)
    sent = await flooded(writer)
    queued = begun(writer, b"queued")
    await turns()

    server.reply(WELL)  # of the first: the queued one goes out
    queued_too = begun(writer, b"queued, too")
    await turns()
    server.connection.protocol.connection_lost(None)
    await turns()

    outcomes = await asyncio.gather(*sent, queued, return_exceptions=True)
    assert outcomes[0] is None
    assert all(isinstance(outcome, BusUnavailable) and outcome.attempted for outcome in outcomes[1:])
    assert server.dials == 2
    assert server.events == [[b"queued, too"]]
    server.reply(b"", WELL)
    await queued_too
    await writer.aclose()


async def test_a_redis_that_does_not_answer_is_left_in_time() -> None:
    server = Server(timeout=0.03)
    writer = await connected(server)

    with pytest.raises(BusUnavailable, match="TimeoutError") as raised:
        await writer.write([("k", b"1")])

    assert raised.value.attempted
    assert server.connection.aborted
    await goes_well(server, writer, dials=2)


async def test_what_waits_behind_others_for_too_long_was_never_sent() -> None:
    server = Server(timeout=0.03)
    writer = await connected(server)
    sent = await flooded(writer)
    waits = begun(writer, b"waits")
    server.hangs = True  # no second connection could take it

    outcomes = await asyncio.gather(*sent, waits, return_exceptions=True)

    assert [outcome.attempted for outcome in outcomes if isinstance(outcome, BusUnavailable)] == [True] * 4 + [False]
    await writer.aclose()


async def test_a_script_that_redis_forgot_is_taught_again_and_the_order_is_kept() -> None:
    server = Server()
    writer = await connected(server)
    calls = await flooded(writer, rules.IN_FLIGHT + 1)

    server.reply(NOSCRIPT, NOSCRIPT)
    await turns()
    assert len(server.commands) == rules.IN_FLIGHT, "nothing is sent until all replies are there"
    server.reply(NOSCRIPT, NOSCRIPT)

    assert server.connection.commands[rules.IN_FLIGHT][:2] == [b"SCRIPT", b"LOAD"]
    assert server.events[rules.IN_FLIGHT] == [b"%d" % number for number in range(rules.IN_FLIGHT + 1)]
    server.reply(b"", WELL)
    await asyncio.gather(*calls)
    await writer.aclose()


async def test_a_redis_that_cannot_be_taught_refuses() -> None:
    server = Server()
    writer = await connected(server)
    call = begun(writer, b"1")
    await turns()

    server.reply(NOSCRIPT)
    server.reply(RuntimeError("NOPERM no permission to load"), NOSCRIPT)

    with pytest.raises(Refused, match="NOSCRIPT"):
        await call
    await writer.aclose()


@pytest.mark.parametrize(
    "reply",
    [
        [[[1, b"-READONLY You can't write against a read only replica."]], []],
        RuntimeError("LOADING Redis is loading the dataset in memory"),
        RuntimeError("MASTERDOWN Link with MASTER is down"),
        RuntimeError("NOAUTH Authentication required."),
    ],
)
async def test_a_server_that_is_no_master_is_left_for_the_one_the_name_leads_to_now(reply: object) -> None:
    server = Server()
    writer = await connected(server)
    call = begun(writer, b"1")
    await turns()

    server.reply(reply)

    with pytest.raises(BusUnavailable) as raised:
        await call
    assert raised.value.retryable
    assert server.connection.aborted
    await goes_well(server, writer, dials=2)


async def test_bytes_that_nobody_can_read_end_the_connection() -> None:
    server = Server()
    writer = await connected(server)
    call = begun(writer, b"1")
    await turns()

    server.connection.protocol.data_received(b"HTTP/1.1 400 Bad Request")

    with pytest.raises(BusUnavailable):
        await call
    assert server.connection.aborted
    await writer.aclose()


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    server = Server()
    writer = await connected(server)

    server.reply(WELL)

    assert server.connection.aborted
    await writer.aclose()


async def test_a_closed_writer_tells_everybody_and_takes_no_more() -> None:
    server = Server()
    writer = await connected(server)
    sent = begun(writer, b"1")
    await turns()

    await writer.aclose()

    with pytest.raises(BusUnavailable):
        await sent
    with pytest.raises(BusUnavailable) as raised:
        await writer.write([("k", b"2")])
    assert not raised.value.retryable
    assert server.connection.aborted


async def test_closing_while_it_connects_tells_who_waits() -> None:
    writer = make_writer(Server())
    waits = begun(writer, b"1")
    await turns(1)

    await writer.aclose()

    with pytest.raises(BusUnavailable) as raised:
        await waits
    assert not raised.value.attempted


async def test_nothing_is_sent_before_redis_knows_who_we_are_and_where() -> None:
    server = Server()
    server.greeting = [packed("AUTH", "secret"), packed("SELECT", 1)]
    writer = make_writer(server)
    call = begun(writer, b"1")
    await turns()
    assert [command[0] for command in server.commands] == [b"AUTH", b"SELECT"]
    server.reply("OK")
    assert len(server.commands) == 2
    server.reply("OK")

    assert server.commands[2][0] == b"EVALSHA"
    server.reply(b"", WELL)
    await call
    await writer.aclose()


async def test_who_is_turned_away_is_told_and_nothing_was_sent() -> None:
    server = Server()
    server.greeting = [packed("AUTH", "secret")]
    writer = make_writer(server)
    call = begun(writer, b"1")
    await turns()

    server.reply(RuntimeError("WRONGPASS invalid username-password pair"))

    with pytest.raises(Refused, match="WRONGPASS"):
        await call
    assert [command[0] for command in server.commands] == [b"AUTH"]
    assert server.connection.aborted
    await turns()
    assert server.dials == 1
    await writer.aclose()


async def test_a_greeting_that_is_not_answered_ends_the_connection_in_time() -> None:
    server = Server(timeout=0.03)
    server.greeting = [packed("AUTH", "secret")]
    writer = make_writer(server)

    with pytest.raises(BusUnavailable) as raised:
        await writer.write([("k", b"1")])

    assert not raised.value.attempted
    assert server.connection.aborted
    await writer.aclose()
