"""PromQL from figures that exist: a name, a kind or a label that no service has is an error here, not an empty panel.

Owns how a series is chosen: `job="cortex-hub"` always, `service` and `instance` as the scrape configuration gives them;
`namespace` is there on Kubernetes, where several hubs may be scraped by one Prometheus, and nowhere else.
A matcher's value that begins with `~` or `!` is a regular expression or a negation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.dashboards.inventory import Family

JOB: Final = "cortex-hub"
OF_THE_TARGET: Final = frozenset(
    {"job", "namespace", "service", "instance"}
)  # the scrape's labels: every series has them
RATE_WINDOW: Final = "$__rate_interval"
_OF_ALL: Final = f'job="{JOB}"'
_SERVICE: Final = re.compile(r'service=~?"[^"]*"')

Matchers = Mapping[str, str]
NONE: Final[Matchers] = {}


class UnknownFigure(ValueError):
    """No service measures that, or not by that label."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A series that some service has, by its name in Prometheus."""

    name: str
    kind: str
    labels: frozenset[str]
    help: str

    def where(self, matchers: Matchers = NONE) -> str:
        """Its selector: `{"service": "order", "route": "!~/health.*"}`. Raises UnknownFigure for a label it lacks."""
        self._has(matchers)
        chosen = {"job": JOB, **matchers}
        return f"{self.name}{{{','.join(_matcher(*each) for each in chosen.items())}}}"

    def _has(self, labels: Sequence[str] | Matchers) -> None:
        if strange := set(labels) - self.labels - OF_THE_TARGET:
            raise UnknownFigure(f"{self.name} has the labels {sorted(self.labels)}, not {sorted(strange)}")

    def by(self, labels: Sequence[str]) -> str:
        """`by (a, b)`."""
        self._has(labels)
        return f"by ({', '.join(labels)})"


@dataclass(frozen=True, slots=True)
class Gauge(Figure):
    """How much there is now."""

    def over(self, how: str, by: Sequence[str] = (), where: Matchers = NONE) -> str:
        """`how` is sum, max …: over replicas, at least."""
        return f"{how} {self.by(by)} ({self.where(where)})" if by else f"{how}({self.where(where)})"

    def alike(self, by: Sequence[str] = (), where: Matchers = NONE) -> str:
        """Of a figure that all replicas tell alike: each hub's once, and the hubs' added up."""
        once = self.over("max", ("namespace", *by), where)
        return f"sum {self.by(by)} ({once})" if by else f"sum({once})"


@dataclass(frozen=True, slots=True)
class Counter(Figure):
    """How often, ever."""

    def rate(self, by: Sequence[str] = (), where: Matchers = NONE, window: str = RATE_WINDOW) -> str:
        """A second."""
        inner = f"rate({self.where(where)}[{window}])"
        return f"sum {self.by(by)} ({inner})" if by else f"sum({inner})"

    def alike(self, by: Sequence[str] = (), where: Matchers = NONE) -> str:
        """A second, of a figure that all replicas tell alike: each hub's once, and the hubs' added up."""
        once = f"max {self.by(('namespace', *by))} (rate({self.where(where)}[{RATE_WINDOW}]))"
        return f"sum {self.by(by)} ({once})" if by else f"sum({once})"

    def increase(self, by: Sequence[str] = (), where: Matchers = NONE, window: str = RATE_WINDOW) -> str:
        """Within `window`."""
        inner = f"increase({self.where(where)}[{window}])"
        return f"sum {self.by(by)} ({inner})" if by else f"sum({inner})"


@dataclass(frozen=True, slots=True)
class Histogram(Figure):
    """How values are spread."""

    @property
    def bucket(self) -> Counter:
        return Counter(f"{self.name}_bucket", "counter", self.labels | {"le"}, self.help)

    @property
    def count(self) -> Counter:
        return Counter(f"{self.name}_count", "counter", self.labels, self.help)

    @property
    def total(self) -> Counter:
        return Counter(f"{self.name}_sum", "counter", self.labels, self.help)

    def quantile(
        self, quantile: float, by: Sequence[str] = (), where: Matchers = NONE, window: str = RATE_WINDOW
    ) -> str:
        return f"histogram_quantile({quantile}, {self.bucket.rate(('le', *by), where, window)})"


class Figures:
    """The inventory, asked by name and kind."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = {family.name: family for family in families}

    def gauge(self, name: str) -> Gauge:
        return Gauge(*self._of_kind(name, "gauge"))

    def counter(self, name: str) -> Counter:
        return Counter(*self._of_kind(name, "counter"))

    def histogram(self, name: str) -> Histogram:
        return Histogram(*self._of_kind(name, "histogram"))

    def _of_kind(self, name: str, kind: str) -> tuple[str, str, frozenset[str], str]:
        family = self._families.get(name)
        if family is None:
            raise UnknownFigure(f"no service measures {name}")
        if family.kind != kind:
            raise UnknownFigure(f"{name} is a {family.kind}, not a {kind}")
        return name, kind, frozenset(family.labels), family.help


def of_the_chosen_namespaces(expr: str) -> str:
    """As a dashboard asks it: of the hubs that its reader has chosen. `.*` finds series without a namespace, too."""
    return expr.replace(_OF_ALL, f'{_OF_ALL},namespace=~"$namespace"')


def zero_while_up(expr: str) -> str:
    """0 while a replica of the service that `expr` asks for (any, if none) is scraped, and nothing otherwise: a figure
    that nobody can tell is not 0."""
    service = _SERVICE.search(expr)
    return f"0 * max(up{{{_OF_ALL}{f',{service[0]}' if service else ''}}} == 1)"


def _matcher(label: str, value: str) -> str:
    for operator in ("!~", "!=", "~", "!"):
        if value.startswith(operator):
            spelled = {"!": "!=", "~": "=~"}.get(operator, operator)
            return f'{label}{spelled}"{value[len(operator) :]}"'
    return f'{label}="{value}"'
