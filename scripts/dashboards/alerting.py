"""What an alert is: its rule, what it looks like when it fires and when it does not, and what its reader should do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from scripts.dashboards.promql import JOB, Figure, Matchers

RUNBOOK: Final = "docs/deploy/alerts.md"
WINDOW: Final = "5m"  # of the rates that alerts look at
NO_PROBES: Final[Matchers] = {"route": "!~/health.*|/metrics"}
FAILED: Final[Matchers] = {**NO_PROBES, "status": "~5.."}
LEFT: Final[Matchers] = {**NO_PROBES, "status": "499"}  # the caller went before an answer began: nginx's number
EXAMPLE: Final = "10.0.0.7:3000"  # the instance in unit tests


@dataclass(frozen=True, slots=True)
class Series:
    """Samples a minute apart, in promtool's notation: `0x5 1x20` is six zeros and twenty-one ones."""

    selector: str
    values: str


def series(figure: Figure, values: str, **labels: str) -> Series:
    """One replica's samples of `figure`. Raises UnknownFigure for a label it lacks."""
    return Series(figure.where({"instance": EXAMPLE, **labels}), values)


@dataclass(frozen=True, slots=True)
class Example:
    """What Prometheus has, and at which minute it is asked. `labels` are the alert's then; `value` is how its summary
    shows the figure."""

    samples: Sequence[Series]
    minute: int
    labels: dict[str, str] = field(default_factory=dict)
    value: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """`summary` may name `{{ $labels.x }}` and `{{ $value | … }}`. `sees` and `does` are the runbook's paragraphs.
    `rules` are alternatives of one alert with labels of their own; nearly all have one."""

    name: str
    rules: Sequence[tuple[str, dict[str, str]]]
    wait: str
    severity: Literal["critical", "warning"]
    summary: str
    sees: str
    does: str
    fires: Example
    silent: Example
    also: Sequence[Example] = ()  # further ones in which it fires
    nor: Sequence[Example] = ()  # … and in which it does not

    @property
    def anchor(self) -> str:
        """Of its section, as a page of headings has them."""
        return self.name.lower()

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{self.anchor}"

    def rendered(self, example: Example) -> dict[str, str]:
        """Its annotations in that example."""
        text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: example.labels[found[1]], self.summary)
        return {"summary": re.sub(r"{{ \$value[^}]*}}", example.value, text), "runbook_url": self.runbook}


@dataclass(frozen=True, slots=True)
class Recording:
    """A figure that is made of others now and then, by Prometheus' naming: level:metric:operation."""

    name: str
    expr: str
    labels: frozenset[str]

    def where(self, **matchers: str) -> str:
        """Its selector, by regular expressions; of the hub's job, as every figure's."""
        if strange := set(matchers) - self.labels:
            raise ValueError(f"{self.name} has the labels {sorted(self.labels)}, not {sorted(strange)}")
        chosen = [f'job="{JOB}"', *(f'{name}=~"{value}"' for name, value in matchers.items())]
        return f"{self.name}{{{','.join(chosen)}}}"


def by(*labels: str) -> tuple[str, ...]:
    """What an alert's figures are grouped by: hubs of several namespaces are never added together."""
    return ("namespace", *labels)


def job_label() -> dict[str, str]:
    return {"job": JOB}
