"""What an experiment is, and how it is judged.

A run has held its promise when its fault fired and nothing was broken. A fault that never fired has proven nothing, and
so has a run whose control (the same fault, the mechanism taken away) did not break: both are failures.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chaos.surroundings import Surroundings

DATABASES: Final = ("sqlite", "postgresql")

Run = Callable[[Surroundings], Awaitable["Outcome"]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`faults`: how many fired. `broken`: how often the promise was. `figures` are shown as they are."""

    faults: int
    broken: int
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Control:
    """The same run without the mechanism, named by what is taken away."""

    without: str
    run: Run


@dataclass(frozen=True, slots=True)
class Experiment:
    """`row` is the promise's name in chaos/README.md."""

    row: str
    promise: str
    run: Run
    controls: Sequence[Control]
    databases: Sequence[str] = DATABASES

    @property
    def slug(self) -> str:
        """The row as a command line likes it."""
        return self.row.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run, judged."""

    row: str
    database: str
    control: str | None
    outcome: Outcome | None
    error: str | None
    seconds: float

    @property
    def passed(self) -> bool:
        if self.outcome is None or self.outcome.faults == 0:
            return False
        return (self.outcome.broken == 0) if self.control is None else (self.outcome.broken > 0)

    @property
    def words(self) -> str:
        if self.outcome is None:
            return f"did not run to its end: {self.error}"
        if self.outcome.faults == 0:
            return "proves nothing: the fault never fired"
        if self.control is None:
            return "held" if self.passed else f"BROKEN {self.outcome.broken} times"
        return f"fails as it must ({self.outcome.broken})" if self.passed else "proves nothing: it held without, too"
