"""The writer: what travels together, in which order, and what each caller is told."""

import asyncio

import pytest

from cortex_core.events import BusUnavailable
from cortex_core.events.redis import writer as rules
from cortex_core.events.redis.commands import Mark
from cortex_core.events.redis.link import Refused

from .writing import WELL, Server, Told, begun, connected, make_writer, turns


async def test_what_is_published_in_one_turn_travels_together_and_each_is_told_after_the_reply() -> None:
    server = Server()
    writer = await connected(server)

    calls = [begun(writer, b"%d" % number) for number in range(10)]
    await turns()
    assert server.events == [[b"%d" % number for number in range(10)]]
    assert not any(call.done() for call in calls)

    server.reply(WELL)
    await asyncio.gather(*calls)
    await writer.aclose()


async def test_one_caller_alone_waits_for_nobody() -> None:
    server = Server()
    writer = await connected(server)

    call = begun(writer, b"1")
    await turns(2)

    assert server.events == [[b"1"]]
    server.reply(WELL)
    await call
    await writer.aclose()


async def test_an_idle_redis_is_given_work_before_the_turn_ends() -> None:
    server = Server()
    writer = await connected(server)

    calls = [begun(writer, b"x") for _ in range(rules.EARLY + 3)]
    await turns(2)

    assert [len(events) for events in server.events] == [rules.EARLY, 3]
    server.reply(WELL, WELL)
    await asyncio.gather(*calls)
    await writer.aclose()


async def test_each_caller_gets_the_outcome_of_its_own_events() -> None:
    server = Server()
    writer = await connected(server)

    calls = [begun(writer, b"a"), begun(writer, b"b", key="no stream"), begun(writer, b"c")]
    await turns()
    server.reply([[[2, b"WRONGTYPE of a key"]], []])
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert outcomes[0] is outcomes[2] is None
    assert isinstance(outcomes[1], Refused)
    assert "WRONGTYPE" in outcomes[1].message
    assert not server.connection.aborted
    await writer.aclose()


async def test_no_more_than_so_many_commands_are_under_way_and_what_waits_travels_together() -> None:
    server = Server()
    writer = await connected(server)

    calls = []
    for number in range(rules.IN_FLIGHT + 3):
        calls.append(begun(writer, b"%d" % number))
        await turns()
    assert len(server.commands) == rules.IN_FLIGHT

    server.reply(WELL)
    assert server.events[-1] == [b"4", b"5", b"6"]
    server.reply(*[WELL] * rules.IN_FLIGHT)
    await asyncio.gather(*calls)
    await writer.aclose()


async def test_large_events_are_spread_over_commands() -> None:
    server = Server()
    writer = await connected(server)
    half = b"x" * (rules.BYTES_AT_ONCE // 2 + 1)

    calls = [begun(writer, half), begun(writer, half), begun(writer, half, half)]
    await turns()
    assert [len(some) for some in server.events] == [1, 1, 1]
    server.reply(WELL, WELL, WELL)
    assert [len(some) for some in server.events] == [1, 1, 1, 1]
    server.reply(WELL)

    await asyncio.gather(*calls)
    await writer.aclose()


async def test_a_marker_may_travel_alone_and_nothing_at_all_does_not_travel() -> None:
    server = Server()
    writer = await connected(server)

    await begun(writer)
    call = begun(writer, mark=Mark("m", "key", 3))
    await turns()

    assert server.commands[0][-4:] == [b"key", b"100", b"=1", b"3"]
    server.reply(WELL)
    await call
    await writer.aclose()


async def test_who_leaves_before_the_write_is_not_written_and_who_leaves_after_disturbs_nobody() -> None:
    server = Server()
    writer = await connected(server)
    early, late, stays = begun(writer, b"early"), begun(writer, b"late"), begun(writer, b"stays")
    await turns(1)
    early.cancel()
    await turns()
    assert server.events == [[b"late", b"stays"]]

    late.cancel()
    await turns()
    server.reply(WELL)
    await stays

    assert early.cancelled() and late.cancelled()
    await writer.aclose()


async def test_a_publication_whose_caller_left_is_not_continued() -> None:
    server = Server()
    writer = await connected(server)
    large = begun(writer, *[b"x"] * (rules.AT_ONCE + 1))
    await turns()
    large.cancel()
    await turns()

    server.reply(WELL)
    after = begun(writer, b"after")
    await turns()

    assert server.events[1:] == [[b"after"]]
    server.reply(WELL)
    await after
    await writer.aclose()


async def test_what_redis_had_to_cut_is_told() -> None:
    server, told = Server(), Told()
    writer = await connected(server, told)

    call = begun(writer, b"x", key="stream")
    await turns()
    server.reply([[], [[1, 40]]])
    await call

    assert told == [("stream", 40)]
    await writer.aclose()


async def test_while_too_much_waits_callers_wait_to_be_let_in_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "QUEUED", 10)
    server = Server()
    writer = await connected(server)
    entered: list[int] = []

    async def publish(number: int) -> None:
        if writer.is_full():
            await writer.enter()
        entered.append(number)
        await writer.write([("k", b"ten bytes!")])

    calls = [asyncio.create_task(publish(number)) for number in range(7)]
    await turns(1)
    assert entered == [0]
    calls[2].cancel()
    await turns(20)
    assert entered == [0, 1, 3, 4, 5]  # as many as commands may be under way, and one that waits
    server.reply(WELL)
    await turns(20)
    assert entered == [0, 1, 3, 4, 5, 6]
    server.reply(*[WELL] * 4)
    await turns(20)
    server.reply(WELL)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [asyncio.CancelledError]
    await writer.aclose()


async def test_who_was_let_in_and_adds_nothing_lets_the_next_one_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "QUEUED", 10)
    server = Server()
    writer = await connected(server)
    sent = []
    for _ in range(rules.IN_FLIGHT + 1):
        sent.append(begun(writer, b"ten bytes!"))
        await turns()
    places = [asyncio.create_task(writer.enter()) for _ in range(3)]
    await turns()
    assert not any(place.done() for place in places)

    server.reply(WELL)
    await turns(20)

    assert all(place.done() for place in places)
    server.reply(*[WELL] * rules.IN_FLIGHT)
    await asyncio.gather(*sent, *places)
    await writer.aclose()


async def test_who_is_not_let_in_in_time_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "QUEUED", 0)
    writer = make_writer(Server(timeout=0.02))

    with pytest.raises(BusUnavailable) as raised:
        await writer.enter()

    assert (raised.value.attempted, raised.value.retryable) == (False, True)
    await writer.aclose()
