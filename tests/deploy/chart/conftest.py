"""The chart rendered without Helm, once a process for one set of values."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import manifests

ROOT = Path(__file__).parents[3]

Objects = dict[tuple[str, str], dict[str, Any]]
"""(kind, name) → object."""


@cache
def _objects(values: str) -> Objects:
    text = manifests.rendered(ROOT / "helm/cortex-hub", json.loads(values), "here")
    return {(each["kind"], each["metadata"]["name"]): each for each, _ in manifests.objects(text)}


@pytest.fixture
def objects() -> Callable[[dict[str, Any]], Objects]:
    """Of the chart with these values, and nothing else but the defaults. Raises HelmError."""
    return lambda values: _objects(json.dumps(values))
