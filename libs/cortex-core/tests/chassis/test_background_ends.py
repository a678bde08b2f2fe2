"""A background task ends with its service, also where its cancellation was lost on the way."""

import asyncio

import pytest

from cortex_core.chassis import background
from cortex_core.observability import Logger


class Deaf:
    """Work that goes on after its first cancellation, as around an `asyncio.wait_for` that had its answer just then."""

    def __init__(self) -> None:
        self.cancellations = 0

    async def __call__(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancellations += 1
                if self.cancellations > 1:
                    raise


@pytest.mark.parametrize("at_the_end_of", ["the block", "the service"])
async def test_it_is_cancelled_again(at_the_end_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_AGAIN", 0.01)
    tasks, work = background.Background(Logger.get("test")), Deaf()

    async with asyncio.timeout(30):
        if at_the_end_of == "the block":
            async with tasks.during(work, "deaf"):
                await asyncio.sleep(0)
        else:
            tasks.start(work, "deaf")
            await asyncio.sleep(0)
            await tasks.aclose()

    assert work.cancellations == 2
