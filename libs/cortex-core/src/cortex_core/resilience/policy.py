"""The shape that all blocks share: a call goes through `execute`, a blocking one through `execute_sync`, a function
through the block as its decorator.

`execute` takes the call and its arguments apart, so that blocks nest without a closure:
`retry.execute(breaker.execute, bulkhead.execute, charge, order)` is what `composite.py` does. Refuses to know what any
block does, and to let a call go by unprotected: what only begins where it is made is a TypeError.
"""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")


class Policy(ABC):
    """Something between a caller and a call. Safe to share: among tasks, and among threads for `execute_sync`."""

    @abstractmethod
    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result, or its error, or the block's own refusal (a CortexError)."""

    @abstractmethod
    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a call that blocks its thread. Raises TypeError for one whose result is to be awaited."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """`function`, every call of it through this block. A coroutine function stays one, and so does an object whose
        `__call__` is one. Raises TypeError for a generator function, sync or async: its body runs after the call."""
        if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
            raise TypeError(f"{function!r} is a generator function: its body would run outside of {self!r}")
        if _is(inspect.iscoroutinefunction, function):

            @functools.wraps(function)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                return await self.execute(function, *args, **kwargs)

            return guarded

        @functools.wraps(function)
        def guarded_sync(*args: Any, **kwargs: Any) -> Any:
            return self.execute_sync(function, *args, **kwargs)

        return guarded_sync


def settled(result: T) -> T:
    """The `result` of a blocking call. Raises TypeError for what is still to be awaited: that work has not begun."""
    if hasattr(type(result), "__await__"):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"the call's result, {type(result).__name__}, is to be awaited: use execute")
    return result


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Of `function` itself, or of its class's `__call__` where it is an object that can be called."""
    return kind(function) or kind(type(function).__call__)
