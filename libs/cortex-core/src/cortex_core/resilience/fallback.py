"""Fallback: an answer that is good enough, where the right one is not to be had.

Owns which errors are answered so: by default those that time could heal (`is_transient`), among them what the blocks
within refuse (an open circuit, a full bulkhead, a deadline); a bug, a "not found", a "forbidden" stays what it is.
There is no context form: a block has no result that could be replaced, and merely swallowing its error is
`contextlib.suppress`.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from cortex_core.resilience.hooks import FallbackDetails, OnFallback, tell
from cortex_core.resilience.policy import Policy, settled
from cortex_core.resilience.predicates import judged
from cortex_core.resilience.retry import is_transient

P = ParamSpec("P")
T = TypeVar("T")

_NONE_GIVEN: Final = object()


class Fallback(Policy):
    """Answers with `value`, or with what `make` makes of the error, where the call fails and `when` says yes.

    `make` may be a coroutine function; then `execute_sync` cannot use it and raises TypeError. An error of its own is
    raised, with the call's as its context. A cancellation is never answered. Raises ValueError unless exactly one of
    `value` and `make` is given.
    """

    def __init__(
        self,
        value: Any = _NONE_GIVEN,
        *,
        make: Callable[[Exception], Any] | None = None,
        when: Callable[[Exception], bool] = is_transient,
        name: str = "default",
        on_fallback: OnFallback | None = None,
    ) -> None:
        if (value is _NONE_GIVEN) == (make is None):
            raise ValueError("value or make is needed, and not both")
        self.name = name
        self._value = value
        self._make = make
        self._when = when
        self._on_fallback = on_fallback

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except Exception as error:
            if not self._answers(error):
                raise
            answer = self._answer(error)
            return cast("T", await answer if inspect.isawaitable(answer) else answer)

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return settled(call(*args, **kwargs))
        except Exception as error:
            if not self._answers(error):
                raise
            answer = self._answer(error)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError(f"make of fallback {self.name} is a coroutine function: use execute") from error
            return cast("T", answer)

    def __repr__(self) -> str:
        return f"Fallback({self.name!r})"

    def _answers(self, error: Exception) -> bool | None:
        return judged(self._when, error, otherwise=False, of=f"when of fallback {self.name}")

    def _answer(self, error: Exception) -> Any:
        tell(self._on_fallback, FallbackDetails(self.name, error))
        return self._value if self._make is None else self._make(error)
