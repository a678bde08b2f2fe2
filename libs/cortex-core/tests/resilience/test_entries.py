"""What belongs to one entry of a block, kept apart from all others."""

import asyncio

import pytest

from cortex_core.resilience.entries import entered, left


def test_the_innermost_entry_of_a_block_is_left_first() -> None:
    block = object()
    entered(block, "outer")
    entered(block, "inner")

    assert (left(block), left(block)) == ("inner", "outer")


def test_blocks_may_be_left_in_another_order_than_they_were_entered() -> None:
    one, other = object(), object()
    entered(one, 1)
    entered(other, 2)

    assert (left(one), left(other)) == (1, 2)


async def test_a_task_leaves_what_it_entered_itself() -> None:
    block = object()
    entered(block, "its parent's")

    async def child(name: str) -> str:
        entered(block, name)
        await asyncio.sleep(0)
        return str(left(block))

    assert await asyncio.gather(child("one"), child("other")) == ["one", "other"]
    assert left(block) == "its parent's"


def test_what_was_not_entered_cannot_be_left() -> None:
    with pytest.raises(RuntimeError, match="left where it was not entered"):
        left("a block")
