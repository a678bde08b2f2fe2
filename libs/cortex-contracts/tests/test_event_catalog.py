"""The catalogue: every event there is, under the type it says it has, with an example in this folder."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import cortex_contracts
from cortex_contracts import CATALOG, EventData


def defined_events() -> Iterator[type[EventData]]:
    """All classes of events in all modules of the package, found by looking rather than by being told."""
    for module in pkgutil.walk_packages(cortex_contracts.__path__, "cortex_contracts."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, EventData) and value is not EventData:
                yield value


def test_it_lists_every_event_that_is_defined() -> None:
    assert set(CATALOG.values()) == set(defined_events())


def test_each_is_listed_under_its_own_type() -> None:
    assert {name: data.type for name, data in CATALOG.items()} == {name: name for name in CATALOG}


def test_each_can_be_imported_from_the_package() -> None:
    assert {data.__name__ for data in CATALOG.values()} <= set(cortex_contracts.__all__)


def test_each_has_an_example(examples: dict[str, Any]) -> None:
    assert set(examples) == set(CATALOG)


def test_types_are_topic_and_fact() -> None:
    for name in CATALOG:
        assert re.fullmatch(r"[a-z]+(\.[a-z]+)+", name), name


def test_a_topic_belongs_to_one_publisher() -> None:
    """One file a publisher: events of a topic that came from two files would travel in one stream from two services."""
    owners: dict[str, set[str]] = {}
    for data in CATALOG.values():
        owners.setdefault(data.type.partition(".")[0], set()).add(data.__module__)

    assert {topic: len(modules) for topic, modules in owners.items()} == dict.fromkeys(owners, 1)
