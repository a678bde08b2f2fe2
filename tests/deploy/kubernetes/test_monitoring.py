"""What a release brings for a Prometheus that watches several: rules of its own hub alone."""

import re
from typing import Any

import yaml

from scripts.kubernetes.charts import ROOT, rendered
from scripts.kubernetes.objects import of

VALUES: dict[str, Any] = {
    "payments": {"sandbox": {"enabled": True}},
    "metrics": {"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}},
}


def rules(namespace: str, **more: Any) -> list[dict[str, Any]]:
    values = {**VALUES, "metrics": {"prometheusRule": {"enabled": True, **more}}}
    made = next(of(rendered(values, namespace=namespace), "PrometheusRule"))
    return [rule for group in made["spec"]["groups"] for rule in group["rules"]]


def test_a_releases_rules_look_at_its_own_namespace_alone() -> None:
    """`absent(…)` of one is not silenced by another, and neither tells of the other."""
    for rule in rules("prod"):
        selectors = re.findall(r"{[^}]*}", rule["expr"])
        assert selectors and all('namespace="prod"' in each for each in selectors), rule


def test_every_alert_says_of_which_namespace_it_is() -> None:
    alerts = [rule for rule in rules("prod") if "alert" in rule]
    assert alerts and {rule["labels"]["namespace"] for rule in alerts} == {"prod"}


def test_rules_are_those_of_observability_but_for_that() -> None:
    text = (ROOT / "observability/prometheus/rules/cortex.yml").read_text()
    plain = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    for made, written in zip(rules("prod"), plain, strict=True):
        assert made["expr"].replace(',namespace="prod"', "") == written["expr"]
        assert {key: made.get(key) for key in ("alert", "record", "for", "annotations")} == {
            key: written.get(key) for key in ("alert", "record", "for", "annotations")
        }


def test_runbooks_are_links_where_somebody_has_said_where_they_are() -> None:
    links = [
        rule["annotations"]["runbook_url"]
        for rule in rules("prod", runbookBaseUrl="https://git.example/hub/")
        if "alert" in rule
    ]
    assert links and all(link.startswith("https://git.example/hub/docs/deploy/alerts.md#cortex") for link in links)


def test_what_is_scraped_is_told_apart_by_namespace() -> None:
    monitor = next(of(rendered(VALUES), "ServiceMonitor"))
    for endpoint in monitor["spec"]["endpoints"]:
        made = {each.get("targetLabel") for each in endpoint["relabelings"]}
        assert {"job", "service", "namespace"} <= made
