"""Hedge: as a decorator, not as a block, and what it is not built with."""

import math
from typing import Any

import pytest

from cortex_core.resilience import Hedge


async def test_a_function_is_decorated_and_its_arguments_reach_it() -> None:
    @Hedge(1, idempotent=True)
    async def add(one: int, *, other: int) -> int:
        return one + other

    assert await add(1, other=2) == 3


def test_it_is_no_context() -> None:
    hedge: Any = Hedge(1, idempotent=True)

    with pytest.raises(TypeError, match="context manager"), hedge:
        pytest.fail("a block cannot run twice")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"delay": 1, "idempotent": False}, "idempotent"),
        ({"delay": -1, "idempotent": True}, "delay"),
        ({"delay": math.nan, "idempotent": True}, "delay"),
        ({"delay": 1, "max_hedges": 0, "idempotent": True}, "max_hedges"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Hedge(**arguments)
