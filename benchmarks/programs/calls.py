"""What a call costs beyond the call itself: each contestant in a tight loop, the bare call in the same round beside it.

Prints `{name: [seconds a call, one a round]}` as JSON. The collector is off while the clock runs, as timeit has it.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from itertools import repeat
from time import perf_counter
from typing import Any, Final

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments. Awaited where it stands among the asynchronous ones."""

BARE: Final = "bare"
_TRIAL: Final = 2_000


async def awaited(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], times: int) -> float:
    began = perf_counter()
    for _ in repeat(None, times):
        await function(*args)
    return perf_counter() - began


def called(function: Callable[..., Any], args: tuple[Any, ...], times: int) -> float:
    began = perf_counter()
    for _ in repeat(None, times):
        function(*args)
    return perf_counter() - began


async def costs(
    asynchronous: Mapping[str, Call], synchronous: Mapping[str, Call], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Of each contestant, seconds a call in each round. Each has about `seconds` for its turn."""
    trials = {name: await awaited(*call, _TRIAL) for name, call in asynchronous.items()}
    trials |= {name: called(*call, _TRIAL) for name, call in synchronous.items()}
    times = {name: max(_TRIAL, int(seconds / trial * _TRIAL)) for name, trial in trials.items()}
    found: dict[str, list[float]] = {name: [] for name in times}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, call in asynchronous.items():
            found[name].append(await awaited(*call, times[name]) / times[name])
        for name, call in synchronous.items():
            found[name].append(called(*call, times[name]) / times[name])
        gc.collect()
    return found


def main(asynchronous: Mapping[str, Call], synchronous: Mapping[str, Call]) -> None:
    """Arguments of the program: rounds, seconds of a turn."""
    rounds, seconds = int(sys.argv[1]), float(sys.argv[2])
    found = asyncio.run(costs(asynchronous, synchronous, rounds, seconds))
    sys.stdout.write(json.dumps(found))
