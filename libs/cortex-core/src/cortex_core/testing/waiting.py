"""Waiting for something to become true, with a bound: what a test does instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], within: float = 20.0) -> T: ...
@overload
async def eventually(condition: Callable[[], T], within: float = 20.0) -> T: ...
async def eventually(condition: Callable[[], T | Awaitable[T]], within: float = 20.0) -> T:
    """The first truthy value of `condition()`, sync or async, asked every 10 ms of real time for `within` seconds.

    Raises AssertionError when the time is over. A condition may assert: its AssertionError means `not yet`, and is the
    cause of ours. Any other error is raised at once.
    """
    end = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        value: object = None
        try:
            value = condition()
            if inspect.isawaitable(value):
                value = await asyncio.wait_for(value, max(0.01, end - time.monotonic()))
            if value:
                return cast("T", value)
        except AssertionError as error:
            failure = error
        except TimeoutError as error:
            if time.monotonic() < end:  # the condition's own, not our bound
                raise
            failure = AssertionError("the condition did not answer")
            failure.__cause__ = error
        if time.monotonic() >= end:
            raise AssertionError(f"not true within {within} s: {_text_of(condition)}, last {value!r}") from failure
        await asyncio.sleep(0.01)


def _text_of(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip().splitlines()[0]
    except (OSError, TypeError):
        return repr(condition)
