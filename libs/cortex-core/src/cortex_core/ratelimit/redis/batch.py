"""Single demands under one policy and of one cost that are asked in one turn of the event loop: one command.

A script's fixed cost is several times that of a decision, so a batch shares it; each call is decided by itself, in the
order in which they came. Owns who gets which part of a reply. Calls with several demands go by themselves.
"""

import asyncio
from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

from cortex_core.ratelimit.limiter import Demand
from cortex_core.ratelimit.redis.commands import decide_each, each_tail, key_word, prefix
from cortex_core.ratelimit.redis.pipeline import LinkLost, Pipeline

MOST: Final = 32  # calls a batch; Redis does nothing else meanwhile, some 0.1 ms

_Name = tuple[str, int]


class Batches:
    """Those that can still be joined: one for each policy and cost."""

    def __init__(self, pipeline: Pipeline, namespace: str) -> None:
        self._pipeline: Final = pipeline
        self._namespace: Final = namespace
        self._open: Final[dict[_Name, _Batch]] = {}

    def join(self, demand: Demand, cost: int) -> asyncio.Future[Any]:
        """The demand's part of the reply (what remains, microseconds until it is as new, microseconds to wait), or an
        error of Redis' as a value. Raises LinkLost when awaited."""
        policy, key = demand
        name = policy.id, cost
        batch = self._open.get(name)
        if batch is None:
            tail = each_tail(policy, cost)
            batch = self._open[name] = _Batch(self._open, name, prefix(self._namespace, policy), tail)
            self._pipeline.put(batch)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.futures.append(future)
        batch.keys.append(key_word(batch.prefix, key))
        if len(batch.keys) == MOST:
            batch.close()
            self._pipeline.write()  # Redis decides these while we gather the next ones
        return future


class _Batch:
    """A `Question` of several callers."""

    __slots__ = ("_name", "_open", "_tail", "futures", "keys", "prefix")

    def __init__(self, open_ones: "dict[_Name, _Batch]", name: _Name, prefix: str, tail: bytes) -> None:
        self._open = open_ones
        self._name = name
        self._tail = tail
        self.prefix = prefix
        self.keys: list[bytes] = []
        self.futures: list[asyncio.Future[Any]] = []

    def close(self) -> None:
        """Nobody joins any more."""
        if self._open.get(self._name) is self:
            del self._open[self._name]

    def packed(self) -> bytes:
        self.close()
        wanted = [pair for pair in zip(self.keys, self.futures, strict=True) if not pair[1].done()]
        self.futures = [future for _, future in wanted]
        return decide_each([key for key, _ in wanted], self._tail) if wanted else b""

    def answer(self, reply: Any) -> None:
        parts: Iterable[Any]
        if isinstance(reply, Exception):
            parts = repeat(reply, len(self.futures))
        else:
            parts = zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        for future, part in list(zip(self.futures, parts, strict=True)):  # all are there before anybody is told
            if not future.done():
                future.set_result(part)

    def fail(self, error: LinkLost) -> None:
        self.close()
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
