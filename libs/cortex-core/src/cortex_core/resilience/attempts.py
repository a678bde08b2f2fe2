"""Retry for a block: a loop whose body is the attempt, for code that reads worse as a function.

A `with` cannot run its body again, so the loop has to be written out. Refuses to go on where the body never entered the
attempt: it would do so for ever.
"""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from cortex_core.kernel.context import Context, use_context
from cortex_core.resilience.course import Course, RetryRules


class Attempt:
    """One run of the block: `with` or `async with`. An error that another run may heal ends in it."""

    def __init__(self, course: Course) -> None:
        self.number = course.attempt
        self.again: bool | None = None  # None: not over yet
        self._course = course
        self._surroundings: AbstractContextManager[Context | None] = nullcontext()

    def __enter__(self) -> "Attempt":
        if (changes := self._course.surroundings) is not None:
            self._surroundings = use_context(**changes)
        self._surroundings.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._surroundings.__exit__(None, None, None)
        self.again = isinstance(error, Exception) and self._course.goes_on(error)
        return self.again

    async def __aenter__(self) -> "Attempt":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, traceback)


class Attempts:
    """`async for attempt in retry.attempts(): async with attempt: …`, or both without `async`. For one loop."""

    def __init__(self, rules: RetryRules) -> None:
        self._rules = rules
        self._course: Course | None = None
        self._attempt: Attempt | None = None

    def __iter__(self) -> "Attempts":
        return self

    def __next__(self) -> Attempt:
        course = self._next_course()
        if course is None:
            raise StopIteration
        if course.attempt > 1:
            self._rules.clock.pause(course.delay)
        return self._begin(course)

    def __aiter__(self) -> "Attempts":
        return self

    async def __anext__(self) -> Attempt:
        course = self._next_course()
        if course is None:
            raise StopAsyncIteration
        if course.attempt > 1:
            await self._rules.clock.sleep(course.delay)
        return self._begin(course)

    def _next_course(self) -> Course | None:
        """The course, if it goes on. The first attempt begins it: its deadline runs from there."""
        if self._course is None or self._attempt is None:
            self._course = Course.here(self._rules)
            return self._course
        if self._attempt.again is None:
            raise RuntimeError(
                "the attempt was not entered: the loop's body is `with attempt:` or `async with attempt:`"
            )
        return self._course if self._attempt.again else None

    def _begin(self, course: Course) -> Attempt:
        self._attempt = Attempt(course)
        return self._attempt
