"""What an error is, by its caller's own rule: a predicate that breaks changes neither the call nor its error.

One rule for all blocks: what it raises is logged, and the block goes on with the careful answer: a breaker counts a
failure, a retry does not try again, a fallback does not answer, an adaptive limit sees no drop.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

E = TypeVar("E", bound=BaseException)

_log = logging.getLogger("cortex_core.resilience")


def judged(predicate: Callable[[E], bool | None], error: E, *, otherwise: bool, of: str) -> bool | None:
    """What `predicate` says of `error`; where it raises an Exception, `otherwise`. `of` names it in the log."""
    try:
        return predicate(error)
    except Exception:  # noqa: BLE001 - whatever is wrong with it must not take the place of the call's own error
        _log.exception("%s failed", of)
        return otherwise
