"""A clock on which waiting takes no time and is written down."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest


@dataclass
class ImpatientClock:
    seconds: float = 1_000.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> ImpatientClock:
    return ImpatientClock()
