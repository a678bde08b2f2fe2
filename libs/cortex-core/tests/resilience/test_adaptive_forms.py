"""AdaptiveLimit: as a call, as a block, what its hooks hear, and what it is not built with."""

import asyncio
import logging
from collections.abc import Generator
from contextvars import Context, copy_context
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import AdaptiveLimit, Admission, AdmissionDetails, LimitDetails, OverLimit, Place
from cortex_core.testing import FakeClock


class Busy(CortexError):
    code, kind = "test.busy", Kind.UNAVAILABLE


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestForms:
    async def test_a_call_holds_a_place(self, clock: FakeClock) -> None:
        limit = AdaptiveLimit(clock=clock)

        async def add(one: int, *, other: int) -> tuple[int, int]:
            return one + other, limit.in_use

        assert await limit.execute(add, 1, other=2) == (3, 1)
        assert limit.in_use == 0

    async def test_its_error_comes_out_and_counts(self, clock: FakeClock) -> None:
        limit = AdaptiveLimit(initial=100, clock=clock)

        async def busy() -> None:
            raise Busy("too much")

        with pytest.raises(Busy):
            await limit.execute(busy)

        assert (limit.in_use, limit.limit) == (0, 90)

    async def test_a_cancelled_call_gives_its_place_back(self, clock: FakeClock) -> None:
        limit = AdaptiveLimit(initial=100, clock=clock)
        task = asyncio.create_task(limit.execute(asyncio.Event().wait))
        await asyncio.sleep(0)
        assert limit.in_use == 1

        task.cancel()
        await asyncio.wait([task])

        assert (limit.in_use, limit.limit) == (0, 100)

    def test_a_blocking_call_does_the_same(self, clock: FakeClock) -> None:
        limit = AdaptiveLimit(initial=100, clock=clock)

        def busy() -> None:
            raise TimeoutError

        assert limit.execute_sync(lambda: limit.in_use) == 1
        with pytest.raises(TimeoutError):
            limit.execute_sync(busy)

        assert (limit.in_use, limit.limit) == (0, 90)

    async def test_blocks_hold_places_whose_ends_are_told_apart(self, clock: FakeClock) -> None:
        outer, inner = AdaptiveLimit(initial=100, clock=clock), AdaptiveLimit(initial=10, clock=clock)

        with pytest.raises(TimeoutError):
            async with outer as entered:
                assert entered is outer
                with inner, pytest.raises(LookupError), inner:
                    assert (outer.in_use, inner.in_use) == (1, 2)
                    raise LookupError
                raise TimeoutError

        assert (outer.in_use, inner.in_use) == (0, 0)
        assert (outer.limit, inner.limit) == (90, 10)

    def test_a_block_left_in_another_context_gives_its_place_back_and_is_told(self, clock: FakeClock) -> None:
        """As that of a generator is which a framework runs in threads, each step in a copy of the context."""
        limit = AdaptiveLimit(clock=clock)

        def resource() -> Generator[int, None, None]:
            with limit:
                yield limit.in_use

        steps = resource()
        assert copy_context().run(next, steps) == 1

        with pytest.raises(RuntimeError, match="left where it was not entered"):
            Context().run(steps.close)

        assert limit.in_use == 0

    async def test_blocks_of_two_tasks_do_not_mix(self, clock: FakeClock) -> None:
        limit = AdaptiveLimit(initial=100, clock=clock)
        gates = {name: asyncio.Event() for name in ("fails", "works")}

        async def block(name: str) -> None:
            async with limit:
                await gates[name].wait()
                if name == "fails":
                    raise TimeoutError

        tasks = [asyncio.create_task(block(name)) for name in gates]
        await asyncio.sleep(0)
        gates["fails"].set()
        await asyncio.wait(tasks[:1])
        assert limit.limit == 90

        gates["works"].set()
        await asyncio.wait(tasks[1:])
        assert limit.in_use == 0
        assert isinstance(tasks[0].exception(), TimeoutError)


class TestHooks:
    def test_they_hear_of_decisions_and_of_moves(self, clock: FakeClock) -> None:
        admissions: list[AdmissionDetails] = []
        moves: list[LimitDetails] = []
        limit = AdaptiveLimit(
            initial=2, name="search", clock=clock, on_admission=admissions.append, on_limit=moves.append
        )
        places = [limit.acquire(), limit.acquire()]
        with pytest.raises(OverLimit):
            limit.acquire()
        limit.release(places[0], TimeoutError())

        assert [(each.outcome, each.in_use) for each in admissions] == [
            (Admission.ADMITTED, 1),
            (Admission.ADMITTED, 2),
            (Admission.FULL, 2),
        ]
        assert moves == [LimitDetails("search", 2, 1, 0.0, 0.0)]

    def test_one_that_breaks_is_logged(self, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
        def broken(details: object) -> None:
            raise RuntimeError("the hook is broken")

        limit = AdaptiveLimit(initial=2, clock=clock, on_admission=broken, on_limit=broken)

        with caplog.at_level(logging.ERROR):
            limit.release(limit.acquire(), TimeoutError())

        assert caplog.text.count("RuntimeError: the hook is broken") == 2


def test_a_place_is_a_fact() -> None:
    with pytest.raises(AttributeError):
        Place(0.0, None).began = 1.0  # type: ignore[misc]  # the very thing that is refused


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"minimum": 0}, "minimum"),
        ({"minimum": 5, "maximum": 4, "initial": 5}, "maximum"),
        ({"initial": 0}, "initial"),
        ({"initial": 2000}, "initial"),
        ({"smoothing": 0.0}, "smoothing"),
        ({"smoothing": 1.1}, "smoothing"),
        ({"tolerance": 0.9}, "tolerance"),
        ({"tolerance": float("inf")}, "tolerance"),
        ({"backoff": 1.0}, "backoff"),
        ({"backoff": 0.0}, "backoff"),
        ({"window": 0}, "window"),
        ({"probe_interval": 0.0}, "probe_interval"),
        ({"probe_interval": float("nan")}, "probe_interval"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        AdaptiveLimit(**arguments)
