"""One write and one read for everybody. How long anybody waits: test_pipeline_time.py."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cortex_core.ratelimit.redis.pipeline import LinkLost, Pipeline
from cortex_core.testing import eventually

from .hand_wire import HandWire, opened


@pytest.fixture
def wire() -> HandWire:
    return HandWire()


@pytest.fixture
def lost() -> list[Exception]:
    return []


@pytest.fixture
async def pipeline(wire: HandWire, lost: list[Exception]) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(wire, 30.0, lost.append)
    yield pipeline
    await pipeline.aclose()


async def test_what_is_asked_in_one_turn_is_one_write(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)

    asked = [asyncio.ensure_future(pipeline.ask(b"%d;" % number)) for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert wire.transport.writes == [b"".join(b"%d;" % number for number in range(100))]
    wire.answer(b"".join(b"%d\n" % number for number in range(100)))
    assert await asyncio.gather(*asked) == [b"%d" % number for number in range(100)]


async def test_what_was_asked_can_be_written_before_the_turn_ends(pipeline: Pipeline, wire: HandWire) -> None:
    pipeline.write()
    await opened(pipeline, wire)

    one = pipeline.ask(b"one;")
    pipeline.write()
    assert wire.transport.writes == [b"one;"]
    two = pipeline.ask(b"two;")
    await asyncio.sleep(0)

    assert wire.transport.writes == [b"one;", b"two;"]
    wire.answer(b"1\n2\n")
    assert (await one, await two) == (b"1", b"2")


async def test_replies_come_in_pieces_and_out_of_step_with_the_writes(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)
    asked = []
    for turn in range(3):
        asked.append(asyncio.gather(*(pipeline.ask(b"%d;" % turn) for _ in range(2))))
        await asyncio.sleep(0)

    for piece in (b"a\nb", b"\nc\n", b"d\ne\nf", b"\n"):
        wire.answer(piece)

    assert await asyncio.gather(*asked) == [[b"a", b"b"], [b"c", b"d"], [b"e", b"f"]]
    assert len(wire.transport.writes) == 3


async def test_the_greeting_comes_first_and_its_answer_is_nobodys(pipeline: Pipeline, wire: HandWire) -> None:
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))
    await eventually(lambda: wire.connections and len(wire.transport.writes) == 2)

    assert wire.transport.writes == [b"hello;", b"question;"]
    wire.answer(b"welcome\nanswer\n")
    assert await asked == b"answer"


async def test_what_is_asked_before_the_connection_stands_waits_for_it(pipeline: Pipeline, wire: HandWire) -> None:
    wire.reachable.clear()
    asked = [asyncio.ensure_future(pipeline.ask(b"%d;" % number)) for number in range(3)]
    await asyncio.sleep(0)

    wire.reachable.set()
    await eventually(lambda: wire.connections and len(wire.transport.writes) == 2)
    wire.answer(b"hi\na\nb\nc\n")

    assert await asyncio.gather(*asked) == [b"a", b"b", b"c"]
    assert len(wire.connections) == 1


async def test_a_caller_cancelled_before_the_write_is_not_sent(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)
    one, two = (asyncio.ensure_future(pipeline.ask(question)) for question in (b"one;", b"two;"))

    one.cancel()
    await asyncio.sleep(0)

    assert wire.transport.writes == [b"two;"]
    wire.answer(b"2\n")
    assert await two == b"2"


async def test_a_turn_in_which_everybody_left_writes_nothing(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)
    one = asyncio.ensure_future(pipeline.ask(b"one;"))
    one.cancel()
    await asyncio.sleep(0)
    two = asyncio.ensure_future(pipeline.ask(b"two;"))
    await asyncio.sleep(0)

    wire.answer(b"2\n")

    assert await two == b"2"
    assert wire.transport.writes == [b"two;"]


async def test_a_caller_cancelled_while_it_waits_hurts_nobody(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)
    asked = [asyncio.ensure_future(pipeline.ask(b"%d;" % number)) for number in range(3)]
    await asyncio.sleep(0)

    asked[1].cancel()
    wire.answer(b"a\nb\nc\n")

    assert (await asked[0], await asked[2]) == (b"a", b"c")


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_lost_connection_is_told_to_everybody_and_the_next_question_opens_another(
    pipeline: Pipeline, wire: HandWire, lost: list[Exception], error: Exception | None
) -> None:
    await opened(pipeline, wire)
    sent = asyncio.ensure_future(pipeline.ask(b"sent;"))
    left = asyncio.ensure_future(pipeline.ask(b"left;"))
    await asyncio.sleep(0)
    left.cancel()
    gathered = asyncio.ensure_future(pipeline.ask(b"gathered;"))

    wire.connections[-1][0].connection_lost(error)

    for asked in (sent, gathered):
        with pytest.raises(LinkLost) as raised:
            await asked
        assert raised.value.__cause__ is lost[0]
    assert len(lost) == 1
    await opened(pipeline, wire)
    assert len(wire.connections) == 2


async def test_those_who_have_their_answer_keep_it_when_the_connection_is_lost(
    pipeline: Pipeline, wire: HandWire
) -> None:
    await opened(pipeline, wire)
    asked = [asyncio.ensure_future(pipeline.ask(b"%d;" % number)) for number in range(2)]
    await asyncio.sleep(0)

    wire.answer(b"a\n")
    wire.connections[-1][0].connection_lost(None)

    assert await asked[0] == b"a"
    with pytest.raises(LinkLost):
        await asked[1]


async def test_a_connection_that_cannot_be_made_is_told_to_everybody(
    pipeline: Pipeline, wire: HandWire, lost: list[Exception]
) -> None:
    wire.error = ConnectionRefusedError()

    for asked in [asyncio.ensure_future(pipeline.ask(b"question;")) for _ in range(3)]:
        with pytest.raises(LinkLost):
            await asked

    assert lost == [wire.error]


@pytest.mark.parametrize("data", [b"a\xff", b"a\nb\n"], ids=["garbage", "more than was asked"])
async def test_what_cannot_be_read_ends_the_connection(
    pipeline: Pipeline, wire: HandWire, lost: list[Exception], data: bytes
) -> None:
    await opened(pipeline, wire)
    one = asyncio.ensure_future(pipeline.ask(b"one;"))
    await asyncio.sleep(0)

    wire.answer(data)
    await asyncio.sleep(0)

    assert len(lost) == 1, "and not once more when it has ended"
    assert wire.transport.aborted
    await asyncio.gather(one, return_exceptions=True)


async def test_closing_tells_whoever_waits(pipeline: Pipeline, wire: HandWire) -> None:
    await opened(pipeline, wire)
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))
    await asyncio.sleep(0)

    await pipeline.aclose()
    await pipeline.aclose()

    with pytest.raises(LinkLost):
        await asked
    assert wire.transport.aborted


async def test_a_connection_that_stands_after_its_end_is_not_used(pipeline: Pipeline, wire: HandWire) -> None:
    wire.reachable.clear()
    asked = asyncio.ensure_future(pipeline.ask(b"question;"))
    await asyncio.sleep(0)

    await pipeline.aclose()
    wire.reachable.set()

    with pytest.raises(LinkLost):
        await asked
    await asyncio.sleep(0)
    assert wire.connections == []
