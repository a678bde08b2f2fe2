"""CompositePolicy: several blocks around one call, outermost first, in exactly the order that is written.

The order that serves most calls, and why:

    Fallback            sees what is left when all else has failed
    Timeout (overall)   bounds everything within: attempts and the waits between them
    RetryExecutor       decides after each attempt whether there is another
    CircuitBreaker      sees each attempt, so that it counts what the backend does and not what a caller gets to see
    Bulkhead            is held while an attempt runs, and not while a retry waits
    Timeout (attempt)   turns an attempt that hangs into one that failed: into something to retry, and to count

A breaker within the retry opens after so many attempts, whoever's they are, and from then on spares the rest of them:
its refusal says that nothing was attempted and, as `retry_after`, when an attempt will be let through. A retry that
would not wait for so long, or whose caller will not, ends at once. A breaker around the retry would see one failure
where there were three, open three times as late, and until then have each caller's retries knock at a backend that is
down.

What a block refuses for its own sake is a `Refusal`, which a breaker around it does not count.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from cortex_core.resilience.entries import entered, left
from cortex_core.resilience.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")


class CompositePolicy(Policy):
    """The blocks as one: `CompositePolicy(retry, breaker)` is retry around breaker around the call.

    Use it as a decorator, by `execute`, or as a context, if each of its parts can be one: what repeats a call or
    replaces its result cannot, and is refused there with a TypeError that names it. Raises ValueError without any
    policy, TypeError for what is none.
    """

    def __init__(self, *policies: Policy) -> None:
        if not policies:
            raise ValueError("policies: at least one is needed")
        for policy in policies:
            if not isinstance(policy, Policy):
                raise TypeError(f"policies: {policy!r} is no Policy")
        self.policies = policies
        self._outermost: Callable[..., Awaitable[Any]] = policies[0].execute
        self._inner = tuple(policy.execute for policy in policies[1:])
        self._outermost_sync: Callable[..., Any] = policies[0].execute_sync
        self._inner_sync = tuple(policy.execute_sync for policy in policies[1:])

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._outermost(*self._inner, call, *args, **kwargs)
        return result

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._outermost_sync(*self._inner_sync, call, *args, **kwargs)
        return result

    async def __aenter__(self) -> Self:
        self._must_have("__aenter__", "async with")
        async with AsyncExitStack() as opening:
            for policy in self.policies:
                await opening.enter_async_context(policy)  # type: ignore[arg-type]  # checked right above
            entered(self, opening.pop_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stack: AsyncExitStack = left(self)
        await stack.__aexit__(kind, error, traceback)

    def __enter__(self) -> Self:
        self._must_have("__enter__", "with")
        with ExitStack() as opening:
            for policy in self.policies:
                opening.enter_context(policy)  # type: ignore[arg-type]  # checked right above
            entered(self, opening.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stack: ExitStack = left(self)
        stack.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"CompositePolicy({', '.join(map(_shown, self.policies))})"

    def _must_have(self, method: str, form: str) -> None:
        for policy in self.policies:
            if not hasattr(type(policy), method):
                raise TypeError(f"{_shown(policy)} cannot be used by `{form}`: use execute, or the decorator")


def _shown(policy: Policy) -> str:
    return type(policy).__name__ if type(policy).__repr__ is object.__repr__ else repr(policy)
