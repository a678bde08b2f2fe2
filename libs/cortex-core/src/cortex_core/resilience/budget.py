"""Retry budget: retries are a share of the traffic, over all layers together.

Three layers with three attempts each make 27 calls of one when the last of them is down. Here every original call
brings `ratio` tokens (0.2: one retry for five calls) into the tree of calls, for every path from its first layer to a
leaf: a layer that calls three others for one call that came hands each of them what came. A layer keeps what its bucket
can still hold and passes the rest on; a retry costs one token and carries none. So the layers together spend at most
`ratio` for every path, and what their buckets held at first: along a path tokens are moved, never made
(test_retry_storm.py, test_retry_budget_machine.py; docs/adr/0007-retry-budget.md has the argument).

Owns the text of `X-Retry-Budget`. Counts in thousandths, as the header is written: rounding makes no token either.
Next: course.py spends it for retries, hedge.py for hedges.
"""

import math
import re
import threading
from typing import Final

from cortex_core.resilience.bounds import number

_ONE: Final = 1000  # thousandths in a token
_MANY: Final = 1e9  # tokens: beyond this a float no longer tells thousandths apart, and infinity has none
_TEXT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)


class RetryBudget:
    """One layer's bucket of tokens. Share it among the executors of one process; tasks and threads may.

    `ratio` (0 … 1): tokens an original call brings, which is the share of retries in the long run. `capacity` (≥ 1):
    tokens the bucket holds. It starts full, so that little traffic may retry too; that many retries may come at once.
    """

    def __init__(self, ratio: float = 0.2, capacity: float = 10.0) -> None:
        number("ratio", ratio, least=0, most=1)
        number("capacity", capacity, least=1, unit="tokens")
        self.ratio = ratio
        self.capacity = capacity
        self._share = _thousandths(ratio)
        self._most = self._held = _thousandths(capacity)
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """Retries that could be made now."""
        return self._held / _ONE

    def deposit(self, brought: float | None) -> float:
        """An original call came with `brought` tokens (the context's `retry_budget`); returns what to pass on with it.

        None: we are its first layer, and it brings our `ratio`. More than our `ratio`, or less than nothing, is not
        believed: a caller can only lower what its calls may cost.
        """
        left = self._share if brought is None else min(_thousandths(brought), self._share)
        if left and self._held < self._most:  # nearly always full: without the lock then
            with self._lock:
                kept = min(left, self._most - self._held)
                self._held += kept
            left -= kept
        return left / _ONE

    def withdraw(self) -> bool:
        """Takes the token for one more try. False where there is none: then there is no more try."""
        with self._lock:
            if self._held < _ONE:
                return False
            self._held -= _ONE
            return True


def parse_retry_budget(text: str | None) -> float | None:
    """What `X-Retry-Budget` says: tokens from 0 to 1 with at most three decimals. None where absent or malformed."""
    return float(text) if text is not None and _TEXT.fullmatch(text) else None


def format_retry_budget(tokens: float) -> str:
    """`0.2`: for the header, rounded down to three decimals, within 0 and 1."""
    return f"{min(_thousandths(tokens), _ONE) / _ONE:.3f}".rstrip("0").rstrip(".")


def _thousandths(tokens: float) -> int:
    """Rounded down, but for the error of the float itself. What is no positive number is nothing."""
    if not tokens > 0.0:
        return 0
    return math.floor(min(tokens, _MANY) * _ONE + 1e-6)
