"""Each rule sees what it is for: one thing is changed in a small hub that breaks none, and the rule says so.

sample.yaml is that hub, broken.yaml has the changes.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.kubernetes import rules
from scripts.kubernetes.objects import Object, read, where
from scripts.kubernetes.rules.containers import quantity

HERE = Path(__file__).parent
SAMPLE = read((HERE / "sample.yaml").read_text())
BROKEN: dict[str, list[dict[str, Any]]] = yaml.safe_load((HERE / "broken.yaml").read_text())
CASES = [pytest.param(rule, case, id=f"{rule}: {case['says']}") for rule, cases in BROKEN.items() for case in cases]


def broken(case: dict[str, Any]) -> list[Object]:
    objects = copy.deepcopy(SAMPLE)
    if "with" in case:
        return [*objects, *copy.deepcopy(case["with"])]
    if "without" in case:
        return [one for one in objects if where(one) != case["without"]]
    found: Any = next(one for one in objects if where(one) == case["in"])
    parts = [part.replace("~", "/") for part in case["at"].split("/")]
    *before, last = (int(part) if part.isdecimal() else part for part in parts)
    for part in before:
        found = found[part]
    value = "a" * case["long"] if "long" in case else case["is"]
    if value is None:
        del found[last]
    elif last == "+":
        found.append(value)
    else:
        found[last] = value
    return objects


def judged(rule: str, objects: list[Object]) -> list[str]:
    return [line for each in rules.RULES if each.name == rule for line in each.judge(objects)]


@pytest.mark.parametrize("rule", [rule.name for rule in rules.RULES])
def test_the_sample_breaks_no_rule(rule: str) -> None:
    assert judged(rule, SAMPLE) == []


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_a_rule_sees_what_it_is_for(rule: str, case: dict[str, Any]) -> None:
    found = judged(rule, broken(case))

    assert any(case["says"] in line for line in found), found


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule.name for rule in rules.RULES} == BROKEN.keys()


def test_a_finding_names_the_rule_and_says_its_sentence() -> None:
    objects = broken(BROKEN["images_are_pinned"][0])

    line = next(line for line in rules.findings(objects) if "images_are_pinned" in line)

    assert line.startswith("Deployment/hub-order[order]: the image ")
    assert "Every image has a tag or a digest" in line


@pytest.mark.parametrize(("text", "value"), [("500m", 0.5), ("2", 2), (1, 1), ("128Mi", 1 << 27), ("1k", 1000)])
def test_a_quantity_is_read(text: object, value: float) -> None:
    assert quantity(text) == value


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="'much' is no quantity"):
        quantity("much")
