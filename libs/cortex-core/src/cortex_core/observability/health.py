"""Health: what a service stands on, asked now, each question under its own deadline.

Owns the report's form. Caches nothing, and refuses to tell secrets: a failed check shows a CortexError's message, or
else the error's class. A check that does not answer is `down` in time for the report, whatever it does with its
cancellation.
"""

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cortex_core.kernel.clock import Clock, SystemClock, rfc3339
from cortex_core.kernel.errors import CortexError
from cortex_core.observability.redaction import redact_fields

Check = Callable[[], Awaitable[Mapping[str, Any] | None]]
"""Returns when all is well, with public details if there are any; raises when not. Must not block the loop. A detail
`status` that is a `Status` is the check's own verdict, for one that can tell degraded from up."""


class Status(StrEnum):
    UP = "up"
    DEGRADED = "degraded"  # serving, with something missing that it can do without for a while
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A registered question. One that is not `critical` can only degrade the whole. `timeout` is in seconds."""

    name: str
    check: Check
    critical: bool = True
    timeout: float = 1.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout of health check {self.name!r} must be positive, not {self.timeout}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`duration` is in seconds; `error` is fit to be read by anyone."""

    status: Status
    duration: float
    critical: bool = True
    error: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        error = {} if self.error is None else {"error": self.error}
        head = {"status": self.status.value, "durationMs": round(self.duration * 1000, 3), **error}
        return {**redact_fields(self.details), **head}


@dataclass(frozen=True, slots=True)
class HealthReport:
    status: Status
    timestamp: datetime
    checks: Mapping[str, CheckResult]

    def to_dict(self) -> dict[str, Any]:
        checks = {name: result.to_dict() for name, result in self.checks.items()}
        return {"status": self.status.value, "timestamp": rfc3339(self.timestamp), "checks": checks}


class HealthCheckRegistry:
    """The questions, and all of them asked at once. A critical one down: `down`; anything else amiss: `degraded`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._checks: dict[str, HealthCheck] = {}
        self._lingering: dict[asyncio.Task[Any], str] = {}  # cancelled when their time was up, and not gone yet

    def register(self, name: str, check: Check, *, critical: bool = True, timeout: float = 1.0) -> None:
        """Raises ValueError where `name` is taken or `timeout` is not positive."""
        if name in self._checks:
            raise ValueError(f"health check {name!r} is already registered")
        self._checks[name] = HealthCheck(name, check, critical, timeout)

    @property
    def names(self) -> frozenset[str]:
        """Those that are asked."""
        return frozenset(self._checks)

    def keep(self, names: frozenset[str]) -> None:
        """No other is asked from now on."""
        self._checks = {name: check for name, check in self._checks.items() if name in names}

    async def run(self) -> HealthReport:
        """Asks now. Takes no longer than the longest timeout."""
        asked = list(self._checks.values())
        results = await asyncio.gather(*(self._ask(check) for check in asked))
        return HealthReport(
            status=_overall(results),
            timestamp=self._clock.now(),
            checks={check.name: result for check, result in zip(asked, results, strict=True)},
        )

    async def _ask(self, check: HealthCheck) -> CheckResult:
        if check.name in self._lingering.values():  # a second one would hang beside the first, and a third …
            return CheckResult(Status.DOWN, 0.0, check.critical, "the previous check has not ended yet")
        started = self._clock.monotonic()
        question = asyncio.create_task(_answer(check.check))
        limit = asyncio.create_task(self._clock.sleep(check.timeout))
        try:
            await asyncio.wait({question, limit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
            if not question.done():
                self._abandon(check.name, question)
        duration = self._clock.monotonic() - started
        if not question.done():
            return CheckResult(Status.DOWN, duration, check.critical, f"timed out after {check.timeout:.1f} s")
        if question.cancelled():
            return CheckResult(Status.DOWN, duration, check.critical, "cancelled")
        if (error := question.exception()) is not None:
            return CheckResult(Status.DOWN, duration, check.critical, _public(error))
        details = dict(question.result() or {})
        verdict = details.pop("status", Status.UP)
        return CheckResult(Status(verdict), duration, check.critical, None, details)

    def _abandon(self, name: str, question: asyncio.Task[Any]) -> None:
        self._lingering[question] = name
        question.add_done_callback(self._forget)
        question.cancel()

    def _forget(self, question: asyncio.Task[Any]) -> None:
        del self._lingering[question]
        if not question.cancelled():
            question.exception()  # looked at, so that asyncio does not complain: nobody waits for the answer any more


async def _answer(check: Check) -> Mapping[str, Any] | None:
    return await check()  # inside the task, so that a check that raises before its first await is a failed check too


def _overall(results: list[CheckResult]) -> Status:
    if any(result.critical and result.status is Status.DOWN for result in results):
        return Status.DOWN
    return Status.UP if all(result.status is Status.UP for result in results) else Status.DEGRADED


def _public(error: BaseException) -> str:
    """Only a CortexError's message is written for strangers to read; a driver's may hold an address and password."""
    return error.message if isinstance(error, CortexError) else type(error).__name__


_STATM: Final = Path("/proc/self/statm")


def memory_check() -> Check:
    """`rssBytes`: the memory this process occupies (where there is no /proc: the most it ever did)."""

    async def memory() -> Mapping[str, Any]:
        if _STATM.exists():
            return {"rssBytes": int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")}
        return {"rssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    return memory


def uptime_check(clock: Clock | None = None) -> Check:
    """`seconds` since this was called, and `startTime`."""
    ticking = clock or SystemClock()
    began, start = ticking.monotonic(), ticking.now()

    async def uptime() -> Mapping[str, Any]:
        return {"seconds": round(ticking.monotonic() - began, 3), "startTime": rfc3339(start)}

    return uptime
