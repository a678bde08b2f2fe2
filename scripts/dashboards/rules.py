"""The alerts as Prometheus reads them, as promtool tests them, and as a page for who is woken by one."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from scripts.dashboards.alerting import Alert, Example
from scripts.dashboards.alerts import ALERTS
from scripts.dashboards.alerts_of_traffic import RECORDINGS

_MADE: Final = "# Made by `make dashboards` from scripts/dashboards/alerts.py; changes there.\n"


def rules() -> str:
    groups = [
        {"name": "cortex-hub-recordings", "rules": [{"record": each.name, "expr": each.expr} for each in RECORDINGS]},
        {"name": "cortex-hub-alerts", "rules": [rule for alert in ALERTS for rule in _rules_of(alert)]},
    ]
    return _MADE + _yaml({"groups": groups})


def unit_tests() -> str:
    """For `promtool test rules`: each alert seen to fire, and not to."""
    tests = [
        _unit_test(alert, example, fires=fires)
        for alert in ALERTS
        for example, fires in (
            *((each, True) for each in (alert.fires, *alert.also)),
            *((each, False) for each in (alert.silent, *alert.nor)),
        )
    ]
    return _MADE + _yaml({"rule_files": ["../rules/cortex.yml"], "evaluation_interval": "1m", "tests": tests})


def page() -> str:
    """The runbook."""
    return "\n".join(_page()) + "\n"


def _rules_of(alert: Alert) -> Iterator[dict[str, Any]]:
    for expr, labels in alert.rules:
        yield {
            "alert": alert.name,
            "expr": expr,
            **({} if alert.wait == "0m" else {"for": alert.wait}),
            "labels": {"severity": alert.severity, **labels},
            "annotations": {"summary": _with_own(alert.summary, labels), "runbook_url": alert.runbook},
        }


def _with_own(summary: str, labels: dict[str, str]) -> str:
    """A rule's own labels are not among `$labels` yet, when its annotations are made."""
    for name, value in labels.items():
        summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
    return summary


def _unit_test(alert: Alert, example: Example, *, fires: bool) -> dict[str, Any]:
    expected = {
        "exp_labels": {"severity": alert.severity, **example.labels},
        "exp_annotations": alert.rendered(example) if fires else {},
    }
    return {
        "name": f"{alert.name} {'fires' if fires else 'is silent'}",
        "interval": "1m",
        "input_series": [{"series": each.selector, "values": each.values} for each in example.samples],
        "alert_rule_test": [
            {
                "eval_time": f"{example.minute}m",
                "alertname": alert.name,
                "exp_alerts": [expected] if fires else [],
            }
        ],
    }


def _page() -> Iterator[str]:
    yield "# Alerts"
    yield ""
    yield "<!-- Made by `make dashboards` from scripts/dashboards/alerts.py; changes there. -->"
    yield ""
    yield (
        "What each alert means and what to do. The rules are in `observability/prometheus/rules`; `promtool test\n"
        "rules observability/prometheus/tests/cortex.yml` shows each of them fire, and stay silent. *Critical* is for\n"
        "now, *warning* for the morning."
    )
    yield ""
    yield "| alert | severity | holds for |"
    yield "|---|---|---|"
    for alert in ALERTS:
        yield f"| [{alert.name}](#{alert.anchor}) | {alert.severity} | {alert.wait} |"
    for alert in ALERTS:
        yield from ("", f"## {alert.name}", "")
        yield _filled(f"**What one sees.** {alert.sees}")
        yield ""
        yield _filled(f"**What to do.** {alert.does}")
        yield ""
        yield from ("```promql", alert.rules[0][0], "```")
        if len(alert.rules) > 1:
            yield from ("", "(one rule for each service)")


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


class _Blocks(yaml.SafeDumper):
    """Lists indented below their keys, as the other YAML files here are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the library's signature
        super().increase_indent(flow, False)


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Blocks, sort_keys=False, width=4096, allow_unicode=True)
