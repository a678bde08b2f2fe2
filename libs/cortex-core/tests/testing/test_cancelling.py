"""The moments at which a call is cancelled, and that none is missed."""

import asyncio
from contextlib import suppress

import pytest

from cortex_core.testing.cancelling import cancelled_wherever_it_waits


async def test_it_is_cancelled_at_each_place_before_and_after_what_it_waits_for_is_there() -> None:
    seen: list[tuple[int, bool]] = []

    async def call() -> None:
        for place in range(3):
            there = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.001, lambda there=there: there.done() or there.set_result(None))
            try:
                await there
            except asyncio.CancelledError:
                seen.append((place, not there.cancelled()))
                raise

    assert await cancelled_wherever_it_waits(call) == 3
    assert seen == [(0, True), (1, True), (2, True), (0, False), (1, False), (2, False)]


async def test_who_swallows_its_cancellation_is_found() -> None:
    async def call() -> None:
        await asyncio.sleep(0)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match=r"where it waits for the 2\. time"):
        await cancelled_wherever_it_waits(call)


async def test_what_the_call_raises_is_raised() -> None:
    async def call() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await cancelled_wherever_it_waits(call)
