"""The loops of a bus: nothing but closing ends them."""

import asyncio

from cortex_core.events.hooks import SafeHooks
from cortex_core.events.loops import FIRST_DELAY, MAX_DELAY, Loop
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.contracts.bus import RecordingHooks


async def test_a_step_that_fails_is_told_and_tried_again_later_and_later_up_to_a_cap() -> None:
    clock, hooks = FakeClock(), RecordingHooks()

    async def fails() -> None:
        raise LookupError("gone")

    loop = Loop(fails, work="testing", clock=clock, hooks=SafeHooks(hooks))
    loop.start()
    await clock.advance(30)
    await loop.aclose()

    delays = [details.delay for details in hooks.errors]
    assert len(delays) > 10
    assert [details.failures for details in hooks.errors] == list(range(1, len(delays) + 1))
    assert {(details.work, str(details.error)) for details in hooks.errors} == {("testing", "gone")}
    assert FIRST_DELAY / 2 <= delays[0] <= FIRST_DELAY
    assert all(MAX_DELAY / 2 <= delay <= MAX_DELAY for delay in delays[7:])


async def test_after_a_success_the_next_failure_is_a_first_one() -> None:
    clock, hooks = FakeClock(), RecordingHooks()
    plan = iter([True, True, False, True])

    async def step() -> None:
        fails = next(plan, None)
        if fails is None:
            await asyncio.Event().wait()
        if fails:
            raise LookupError("gone")

    loop = Loop(step, work="testing", clock=clock, hooks=SafeHooks(hooks))
    loop.start()
    await clock.advance(10)
    await loop.aclose()

    assert [details.failures for details in hooks.errors] == [1, 2, 1]


async def test_a_loop_that_never_waits_leaves_room_for_others() -> None:
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1

    loop = Loop(step, work="testing", clock=FakeClock(), hooks=SafeHooks(None))
    loop.start()

    await eventually(lambda: steps > 100)
    await loop.aclose()


async def test_closing_outlasts_a_step_that_swallows_its_cancellation() -> None:
    swallowed = 0

    async def step() -> None:
        nonlocal swallowed
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
            await asyncio.Event().wait()

    loop = Loop(step, work="testing", clock=FakeClock(), hooks=SafeHooks(None))
    loop.start()
    await asyncio.sleep(0)

    await asyncio.wait_for(loop.aclose(within=0.01), 30)

    assert swallowed == 1
