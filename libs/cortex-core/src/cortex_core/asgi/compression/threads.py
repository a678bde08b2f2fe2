"""Threads for what would hold up the loop. Few, and our own: the loop's resolve names and read files for everybody, who
would wait behind a queue of chunks."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MOST: Final = min(4, (os.cpu_count() or 1) + 1)  # codecs let go of the interpreter, so a core each; one for the slow

_threads: Final = ThreadPoolExecutor(_MOST, thread_name_prefix="cortex-codings")  # starts none before it needs one


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Off the loop. Cancelled, it leaves the thread to its end, and its result to nobody."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(work, *args, **kwargs))
