"""Blocks as contexts: `async with breaker:` keeps what belongs to one entry apart from all others.

A block is shared by tasks and threads, so that "the current call" cannot be one of its attributes. Each entry lies in a
context variable instead: tasks and threads see their own alone, and a block may be entered within itself.
"""

from contextvars import ContextVar
from typing import Any

_entered: ContextVar[tuple[tuple[object, Any], ...]] = ContextVar("cortex_entered_blocks", default=())


def entered(block: object, entry: object) -> None:
    """Remembers `entry` until the same task or thread leaves `block`."""
    _entered.set((*_entered.get(), (block, entry)))


def left(block: object) -> Any:
    """The innermost entry of `block`, forgotten. Raises RuntimeError where it was not entered here: the block then
    gives back what it can without the entry, and lets the error out."""
    stack = _entered.get()
    for position in reversed(range(len(stack))):
        owner, entry = stack[position]
        if owner is block:
            _entered.set(stack[:position] + stack[position + 1 :])
            return entry
    raise RuntimeError(f"{block!r} is left where it was not entered: one task or thread does both")
