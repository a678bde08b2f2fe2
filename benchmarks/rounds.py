"""Rounds: A B A B. What travels between machines is a ratio, and an honest one has both its halves from one minute."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_AGAIN: Final = 2  # times that a void sample is taken anew


@dataclass(frozen=True, slots=True)
class Sample:
    """What one side did in its turn: `rate`, of which more is better. A void one is shown, and counts for nothing."""

    rate: float
    void: bool = False
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the rounds' ratios and the extremes beside it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{shown(self.median)} ({shown(self.low)} … {shown(self.high)})"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long: at least 5 rounds of 5 s for a figure to be published."""

    rounds: int = 5
    seconds: int = 5
    warm_up: int = 1


Turn = Callable[[int], Sample]  # takes seconds


class Contest:
    """The samples of several sides, round by round."""

    def __init__(self, samples: Mapping[str, Sequence[Sample]]) -> None:
        self._samples = samples

    def rate(self, side: str) -> float | None:
        """The median of the side's rounds; None where all were void."""
        valid = [sample.rate for sample in self._samples[side] if not sample.void]
        return statistics.median(valid) if valid else None

    def ratio(self, ours: str, peer: str) -> Ratio | None:
        """`ours` ÷ `peer`, round by round; None where no round has both."""
        pairs = zip(self._samples[ours], self._samples[peer], strict=True)
        ratios = [a.rate / b.rate for a, b in pairs if not (a.void or b.void) and b.rate > 0]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def ratio_shown(self, ours: str, peer: str) -> str:
        return str(self.ratio(ours, peer) or "void")

    def facts(self, side: str, fact: str) -> list[float]:
        """What the side's samples say of `fact`, round by round."""
        return [sample.facts[fact] for sample in self._samples[side]]

    def per(self, fact: str) -> "Contest":
        """The same rounds by what one answer took of `fact`: its inverse is the rate, and no sample is void by it."""
        return Contest(
            {side: [Sample(1 / max(1e-9, took)) for took in self.facts(side, fact)] for side in self._samples}
        )

    def worst(self, fact: str) -> float:
        """The largest that any sample says of `fact`."""
        return max((s.facts[fact] for row in self._samples.values() for s in row if fact in s.facts), default=0.0)

    def fact(self, side: str, fact: str) -> float:
        """The median of what the side's samples say of `fact`."""
        return statistics.median(self.facts(side, fact))

    def voided(self) -> int:
        return sum(sample.void for row in self._samples.values() for sample in row)


def disturbance(outcomes: Iterable[Contest]) -> str:
    """How quiet the machine was. `others` is the share of the program's CPU that neither side used."""
    several = list(outcomes)
    worst = max(outcome.worst("others") for outcome in several)
    return (
        f"Others used up to {100 * worst:.0f} % of the program's CPU; void turns: {sum(o.voided() for o in several)}."
    )


def contest(sides: Mapping[str, Turn], plan: Plan, say: Callable[[str], None]) -> Contest:
    """Every side in turn, round after round, each warmed up first. A void sample is taken anew, twice at most."""
    for name, turn in sides.items():
        say(f"warming up {name}")
        turn(plan.warm_up)
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(1, plan.rounds + 1):
        for name, turn in sides.items():
            say(f"round {number} of {plan.rounds}: {name}")
            sample = turn(plan.seconds)
            for _ in range(_AGAIN):
                if not sample.void:
                    break
                sample = turn(plan.seconds)
            samples[name].append(sample)
    return Contest(samples)


def shown(number: float | None, unit: str = "") -> str:
    """Three digits that matter."""
    if number is None:
        return "void"
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:,.{digits}f}{unit}"
