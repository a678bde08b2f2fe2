"""What must be true of every object that the chart makes: a table of rules, one sentence each.

A rule takes all objects of one rendering and yields a line for whatever breaks it, naming object and field. None knows
the chart's values: they see what a cluster would see. tests/deploy/kubernetes/test_rules.py has, for each, the smallest
objects that break it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from scripts.kubernetes.objects import Object
from scripts.kubernetes.rules import containers, flows, links, pods, secrets, shape

Judge = Callable[[Sequence[Object]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`sentence` is what the reader of a finding is told; `judge` finds."""

    sentence: str
    judge: Judge

    @property
    def name(self) -> str:
        return self.judge.__name__


RULES = tuple(
    Rule((judge.__doc__ or "").strip().splitlines()[0], judge)
    for judge in (*pods.RULES, *containers.RULES, *secrets.RULES, *links.RULES, *shape.RULES, *flows.RULES)
)


def findings(objects: Sequence[Object]) -> Iterator[str]:
    """Every line of every rule."""
    for rule in RULES:
        for line in rule.judge(objects):
            yield f"{line} ({rule.name}: {rule.sentence})"
