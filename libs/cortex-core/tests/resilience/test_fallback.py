"""Fallback: which errors are answered, with what, and which stay errors."""

import asyncio
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import BulkheadFull, CircuitOpenError, DeadlineExceeded, Fallback, FallbackDetails


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Missing(CortexError):
    code, kind = "test.missing", Kind.NOT_FOUND


async def answer(text: str) -> str:
    return text


async def failing(error: BaseException) -> str:
    raise error


def failing_blocking(error: BaseException) -> str:
    raise error


async def test_what_succeeds_needs_none() -> None:
    fallback = Fallback("instead")

    assert await fallback.execute(answer, "well") == "well"
    assert fallback.execute_sync(str, 1) == "1"


@pytest.mark.parametrize("error", [Down("down"), TimeoutError(), ConnectionResetError()])
async def test_trouble_that_may_pass_is_answered(error: Exception) -> None:
    fallback = Fallback("instead")

    assert await fallback.execute(failing, error) == "instead"
    assert fallback.execute_sync(failing_blocking, error) == "instead"


@pytest.mark.parametrize("error", [CircuitOpenError("open"), BulkheadFull("full"), DeadlineExceeded("late")])
async def test_so_is_what_the_blocks_within_refuse(error: Exception) -> None:
    assert await Fallback("instead").execute(failing, error) == "instead"


@pytest.mark.parametrize("error", [Missing("no such order"), ValueError("a bug"), asyncio.CancelledError()])
async def test_everything_else_comes_out_as_it_was(error: BaseException) -> None:
    fallback = Fallback("instead")

    with pytest.raises(type(error)) as raised:
        await fallback.execute(failing, error)
    with pytest.raises(type(error)) as raised_blocking:
        fallback.execute_sync(failing_blocking, error)

    assert raised.value is raised_blocking.value is error


async def test_nothing_is_an_answer_too() -> None:
    assert await Fallback(None).execute(failing, Down("down")) is None


async def test_it_may_be_made_of_the_error() -> None:
    fallback = Fallback(make=lambda error: f"sorry: {error}")

    assert await fallback.execute(failing, Down("down")) == "sorry: down"
    assert fallback.execute_sync(failing_blocking, Down("down")) == "sorry: down"


async def test_making_it_may_take_waiting() -> None:
    async def from_the_replica(error: Exception) -> str:
        await asyncio.sleep(0)
        return f"stale, since {error}"

    fallback = Fallback(make=from_the_replica)

    assert await fallback.execute(failing, Down("down")) == "stale, since down"
    with pytest.raises(TypeError, match="coroutine function: use execute"):
        fallback.execute_sync(failing_blocking, Down("down"))


async def test_an_error_while_making_it_keeps_the_first_in_sight() -> None:
    first = Down("down")

    def broken(error: Exception) -> str:
        raise LookupError("no stale answer either")

    with pytest.raises(LookupError) as raised:
        await Fallback(make=broken).execute(failing, first)

    assert raised.value.__context__ is first


async def test_the_caller_may_say_which_errors() -> None:
    fallback = Fallback([], when=lambda error: isinstance(error, Missing))

    assert await fallback.execute(failing, Missing("no such order")) == []
    with pytest.raises(Down):
        await fallback.execute(failing, Down("not mine"))


async def test_as_a_decorator() -> None:
    fallback = Fallback("instead")

    assert await fallback(failing)(Down("down")) == "instead"
    assert fallback(failing_blocking)(Down("down")) == "instead"


async def test_a_block_has_no_result_to_replace() -> None:
    with pytest.raises(TypeError):
        async with Fallback("instead"):  # type: ignore[attr-defined]
            pytest.fail("nothing runs")


async def test_the_hook_hears_what_was_answered(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[FallbackDetails] = []
    error = Down("down")

    def hook(details: FallbackDetails) -> None:
        heard.append(details)
        raise RuntimeError("the hook is broken")

    fallback = Fallback("instead", name="stock", on_fallback=hook)

    assert await fallback.execute(failing, error) == "instead"
    with pytest.raises(Missing):
        await fallback.execute(failing, Missing("not answered"))
    assert heard == [FallbackDetails("stock", error)]
    assert "the hook is broken" in caplog.text


@pytest.mark.parametrize("arguments", [{}, {"value": 1, "make": str}])
def test_exactly_one_answer_is_needed(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="value or make is needed"):
        Fallback(**arguments)


def test_it_is_read_as_what_it_is() -> None:
    assert repr(Fallback(1, name="stock")) == "Fallback('stock')"
