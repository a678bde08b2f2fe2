"""The writer with a publication that is too large for one command: its portions, their order and their time."""

import asyncio

import pytest

from cortex_core.events import BusUnavailable, MarkerMoved
from cortex_core.events.redis import writer as rules
from cortex_core.events.redis.commands import Mark
from cortex_core.events.redis.link import Refused

from .writing import NOSCRIPT, WELL, Server, begun, connected, turns


async def test_a_large_publication_goes_in_portions_each_after_the_one_before_and_later_calls_behind_it() -> None:
    server = Server()
    writer = await connected(server)
    events = [b"%d" % number for number in range(2 * rules.AT_ONCE + 1)]

    large, small = begun(writer, *events, mark=Mark("m", "key", 7)), begun(writer, b"small")
    await turns()
    assert [len(some) for some in server.events] == [rules.AT_ONCE]
    server.reply(WELL)
    assert [len(some) for some in server.events] == [rules.AT_ONCE] * 2
    assert not large.done()
    server.reply(WELL)
    assert server.events[2] == [b"%d" % (2 * rules.AT_ONCE), b"7", b"small"]
    server.reply(WELL)

    await asyncio.gather(large, small)
    await writer.aclose()


async def test_a_portion_that_fails_is_the_last_and_takes_the_marker_with_it() -> None:
    server = Server()
    writer = await connected(server)
    events = [b"x"] * (rules.AT_ONCE + 1)

    large, small = begun(writer, *events, mark=Mark("m", "key", 7)), begun(writer, b"small")
    await turns()
    server.reply([[[1, b"OOM command not allowed"]], []])
    with pytest.raises(Refused, match="OOM"):
        await large

    assert server.events[1] == [b"small"]
    server.reply(WELL)
    await small
    await writer.aclose()


async def test_every_portion_asks_where_the_marker_stands_and_the_last_moves_it() -> None:
    server = Server()
    writer = await connected(server)
    large = begun(writer, *[b"x"] * (rules.AT_ONCE + 1), mark=Mark("m", "key", 7, after=6))
    await turns()
    server.reply(WELL)

    assert [command[command.index(b"100") + 1] for command in server.commands] == [b"?1", b"?1"]
    assert server.commands[1][-2:] == [b"!1", b"7"]
    server.reply([[[1, b"MOVED TO 9"]], []])
    with pytest.raises(MarkerMoved) as raised:
        await large
    assert raised.value.value == 9
    await writer.aclose()


async def test_a_large_publication_goes_on_where_it_was_when_the_script_was_forgotten() -> None:
    server = Server()
    writer = await connected(server)
    events = [b"%d" % number for number in range(rules.AT_ONCE + 2)]
    large = begun(writer, *events)
    await turns()
    server.reply(WELL)

    server.reply(NOSCRIPT)

    assert server.events[1:] == [events[rules.AT_ONCE :]] * 2
    server.reply(b"", WELL)
    await large
    await writer.aclose()


async def test_a_large_publication_whose_first_portion_met_a_forgotten_script_goes_on() -> None:
    server = Server()
    writer = await connected(server)
    events = [b"%d" % number for number in range(rules.AT_ONCE + 2)]
    large = begun(writer, *events)
    await turns()

    server.reply(NOSCRIPT)
    server.reply(b"", WELL)
    server.reply(WELL)

    await turns()
    assert server.events == [events[: rules.AT_ONCE]] * 2 + [events[rules.AT_ONCE :]]
    assert large.done()
    await large
    await writer.aclose()


async def test_a_large_publication_has_its_time_for_each_portion_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now, loop = [100.0], asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: now[0])
    server = Server(timeout=10)
    writer = await connected(server)
    large = begun(writer, *[b"x"] * (2 * rules.AT_ONCE + 1))
    await turns()

    for _ in range(3):
        for seconds in (6, rules.LAST_LOOK, rules.LAST_LOOK):
            now[0] += seconds
            await turns()
        server.reply(WELL)
    await turns()

    assert large.done()
    await large
    await writer.aclose()


async def test_a_portion_that_is_not_answered_in_its_own_time_ends_the_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, loop = [100.0], asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: now[0])
    server = Server(timeout=10)
    writer = await connected(server)
    large = begun(writer, *[b"x"] * (rules.AT_ONCE + 1))
    await turns()

    now[0] += 6
    server.reply(WELL)
    for seconds in (9, rules.LAST_LOOK, rules.LAST_LOOK):
        now[0] += seconds
        await turns()
    assert not large.done()
    for seconds in (1, rules.LAST_LOOK, rules.LAST_LOOK):
        now[0] += seconds
        await turns()

    with pytest.raises(BusUnavailable) as raised:
        await large
    assert raised.value.attempted
    await writer.aclose()
