"""promtool reads the configuration and the rules, and sees each alert fire and stay silent."""

import subprocess
from pathlib import Path

import yaml

from scripts.dashboards.inventory import SERVICES
from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import of

DOWN = ("prod", "order")
OBSERVABILITY = Path(__file__).parents[3] / "observability" / "prometheus"


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=OBSERVABILITY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_one() -> None:
    promtool("check", "config", "prometheus.yml")


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules/cortex.yml")


def test_each_alert_fires_when_it_should_and_then_only() -> None:
    promtool("test", "rules", "tests/cortex.yml")


def test_of_two_hubs_that_one_prometheus_watches_the_one_that_is_down_is_told(tmp_path: Path) -> None:
    """The chart's rules: what is absent here may be there in another namespace."""
    values = {"payments": {"sandbox": {"enabled": True}}, "metrics": {"prometheusRule": {"enabled": True}}}
    rule = next(of(rendered(values, namespace="prod"), "PrometheusRule"))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    up = 'up{{job="cortex-hub",namespace="{}",service="{}"}}'
    samples = [
        {"series": up.format(namespace, service), "values": "0x20" if (namespace, service) == DOWN else "1x20"}
        for namespace in ("prod", "staging")
        for service in SERVICES
    ]
    expected = {
        "exp_labels": {"severity": "critical", "namespace": "prod", "service": "order"},
        "exp_annotations": {
            "summary": "No replica of order answers",
            "runbook_url": "docs/deploy/alerts.md#cortexservicedown",
        },
    }
    asked = {"eval_time": "10m", "alertname": "CortexServiceDown", "exp_alerts": [expected]}
    tests = {
        "rule_files": ["rules.yml"],
        "tests": [{"interval": "1m", "input_series": samples, "alert_rule_test": [asked]}],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))

    promtool("test", "rules", str(tmp_path / "tests.yml"))
