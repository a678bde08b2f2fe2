"""How long anybody waits for an answer, and for whose delay."""

import asyncio
from typing import Any

import pytest

from cortex_core.kernel import SystemClock
from cortex_core.ratelimit.redis.pipeline import LinkLost, Pipeline
from cortex_core.testing import eventually

from .hand_wire import HandWire, opened


@pytest.fixture
def wire() -> HandWire:
    return HandWire()


@pytest.fixture
def lost() -> list[Exception]:
    return []


@pytest.mark.parametrize("reachable", [True, False])
async def test_the_oldest_question_is_answered_in_time_or_everybody_is_told(
    wire: HandWire, lost: list[Exception], reachable: bool
) -> None:
    pipeline = Pipeline(wire, 0.05, lost.append)
    if not reachable:
        wire.reachable.clear()

    asked = [asyncio.ensure_future(pipeline.ask(b"question;")) for _ in range(3)]

    for each in asked:
        with pytest.raises(LinkLost):
            await asyncio.wait_for(each, 30)
    assert [type(error) for error in lost] == [TimeoutError]
    assert len(wire.connections) == reachable


async def test_an_idle_connection_is_left_alone(wire: HandWire, lost: list[Exception]) -> None:
    pipeline = Pipeline(wire, 0.05, lost.append)
    await opened(pipeline, wire)
    loop = asyncio.get_running_loop()
    later = loop.time() + 0.15
    await eventually(lambda: loop.time() > later)

    last = asyncio.ensure_future(pipeline.ask(b"last;"))
    await asyncio.sleep(0)
    wire.answer(b"answer\n")

    assert await last == b"answer"
    assert lost == []
    await pipeline.aclose()


async def test_a_younger_question_has_its_own_time(wire: HandWire, lost: list[Exception]) -> None:
    """The watch that was set for the first question finds the second one, and looks again when that is too old."""
    pipeline = Pipeline(wire, 0.2, lost.append)
    await opened(pipeline, wire)
    loop = asyncio.get_running_loop()
    halfway = loop.time() + 0.1
    await eventually(lambda: loop.time() > halfway)
    asked_at = loop.time()

    with pytest.raises(LinkLost):
        await pipeline.ask(b"second;")

    assert 0.19 <= loop.time() - asked_at < 5


async def test_an_answer_to_the_older_question_in_the_last_moment_saves_the_connection(
    wire: HandWire, lost: list[Exception]
) -> None:
    pipeline = Pipeline(wire, 0.05, lost.append)
    await opened(pipeline, wire)
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    link = wire.connections[-1][0]

    loop.call_at(link._waiting[0].expires + 0.0003, wire.answer, b"answer\n")  # type: ignore[attr-defined]
    assert await asked == b"answer"
    past = loop.time() + 0.1
    await eventually(lambda: loop.time() > past)

    assert lost == []
    with pytest.raises(LinkLost):  # and the watch goes on
        await asyncio.wait_for(pipeline.ask(b"never answered;"), 30)


async def test_the_time_that_our_own_loop_was_busy_before_the_write_is_not_redis(
    wire: HandWire, lost: list[Exception]
) -> None:
    pipeline = Pipeline(wire, 0.5, lost.append)
    await opened(pipeline, wire)
    loop = asyncio.get_running_loop()
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))

    SystemClock().pause(0.6)
    busy_until = loop.time()
    await eventually(lambda: loop.time() > busy_until + 0.05)
    wire.answer(b"answer\n")

    assert await asked == b"answer"
    await pipeline.aclose()


async def test_connecting_takes_of_the_time_of_the_first_callers(wire: HandWire, lost: list[Exception]) -> None:
    pipeline, loop = Pipeline(wire, 30.0, lost.append), asyncio.get_running_loop()
    wire.reachable.clear()
    asked_at = loop.time()
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))
    later = loop.time() + 0.05
    await eventually(lambda: loop.time() > later)

    wire.reachable.set()
    await eventually(lambda: wire.connections and len(wire.transport.writes) == 2)

    link: Any = wire.connections[-1][0]
    assert link._oldest().expires < asked_at + 30.04
    await pipeline.aclose()
    await asyncio.gather(asked, return_exceptions=True)
