"""A part of a turn that goes wrong: the application hears of it, and nothing is sent behind its back."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Say = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("more", [True, False])
async def test_what_the_server_raises_reaches_the_next_send(run: Any, sink: Any, more: bool) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="gone"):
            await say(b"b", more)

    sink.error = OSError("gone")

    await run(script)  # who has dealt with it is not told again

    assert sink.begun == 1


async def test_what_the_server_raises_is_told_one_of_two_that_send_at_once(run: Any, sink: Any) -> None:
    outcomes: list[Any] = []

    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        both = asyncio.gather(say(b"b"), say(b"c"), return_exceptions=True)
        await asyncio.sleep(0)
        sink.open.set()
        outcomes.extend(await both)

    sink.open.clear()
    sink.error = OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await run(script)

    assert [str(outcome) for outcome in outcomes] == ["gone", "None"]


async def test_what_the_server_raises_is_not_lost_where_no_send_follows(run: Any, sink: Any) -> None:
    async def script(say: Say) -> None:
        await say(b"a")

    sink.error = OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await run(script)


async def test_an_application_that_fails_too_is_what_is_told(run: Any, sink: Any) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        raise ValueError("in the middle")

    sink.error = OSError("gone")

    with pytest.raises(ValueError, match="in the middle"):
        await run(script)
    sink.error = None
    gc.collect()  # a failure that nobody looked at is reported then

    assert reported == []


async def test_an_error_in_the_same_turn_drops_what_is_held(run: Any, sink: Any) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        await say(b"b")
        await say(b"c")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await run(script)
    for _ in range(5):
        await asyncio.sleep(0)

    assert sink.parts == [b"a"]


@pytest.mark.parametrize("times", range(1, 6))
async def test_behind_a_cancelled_application_nothing_is_sent(run: Any, sink: Any, times: int) -> None:
    async def script(say: Say) -> None:
        while True:
            await say(b"a")
            await say(b"b")
            await asyncio.sleep(0)

    running = asyncio.create_task(run(script))
    for _ in range(times):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    begun = sink.begun
    for _ in range(5):
        await asyncio.sleep(0)

    assert sink.begun == begun
    assert set(sink.parts) <= {b"ab"}


@pytest.mark.parametrize("waits_in", ["send", "elsewhere"])
async def test_what_is_under_way_for_a_cancelled_application_is_broken_off(run: Any, sink: Any, waits_in: str) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        if waits_in == "send":
            await say(b"b")
        await asyncio.Event().wait()

    sink.open.clear()
    running = asyncio.create_task(run(script))
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)
    sink.open.set()
    await asyncio.sleep(0)

    assert (sink.begun, sink.parts) == (1, [])


async def test_a_send_given_up_takes_nothing_along_but_its_own_chunk(run: Any, sink: Any) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        giving_up = asyncio.create_task(say(b"b"))
        await asyncio.sleep(0)
        giving_up.cancel()
        await asyncio.wait([giving_up])
        sink.open.set()
        await say(b"c", more=False)

    sink.open.clear()

    await run(script)

    assert sink.parts == [b"a", b"c."]
