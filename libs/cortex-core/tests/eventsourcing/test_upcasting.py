from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.eventsourcing import DROPPED, CorruptEvent, Drop, RecordedEvent, Rename, Upcast, Upcasters


def recorded(kind: str, version: int, data: Mapping[str, Any] | None = None) -> RecordedEvent:
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    return RecordedEvent(7, "acme", "ord_1", 3, "evt_1", kind, version, moment, data or {}, {"principal": "usr_1"})


def with_currency(data: dict[str, Any]) -> Mapping[str, Any]:
    return {**data, "currency": "EUR"}


def in_cents(data: dict[str, Any]) -> Mapping[str, Any]:
    data["total"] *= 100
    return data


def test_an_old_event_is_read_in_the_words_of_today() -> None:
    upcasters = Upcasters([Upcast("created", 2, in_cents), Upcast("created", 1, with_currency)])

    read = upcasters.apply(recorded("created", 1, {"total": 25}))

    assert (read.type, read.schema_version, read.data) == ("created", 3, {"total": 2500, "currency": "EUR"})
    assert upcasters.apply(recorded("created", 2, {"total": 25})).data == {"total": 2500}


def test_nothing_but_type_version_and_data_changes() -> None:
    event = recorded("created", 1)

    read = Upcasters([Upcast("created", 1, with_currency)]).apply(event)

    assert (read.position, read.tenant, read.stream, read.version, read.id) == (7, "acme", "ord_1", 3, "evt_1")
    assert (read.time, read.metadata) == (event.time, event.metadata)


@pytest.mark.parametrize(("kind", "version"), [("created", 3), ("created", 2), ("completed", 1), ("created", 0)])
def test_what_no_step_speaks_of_passes_untouched(kind: str, version: int) -> None:
    event = recorded(kind, version, {"any": "thing"})

    assert Upcasters([Upcast("created", 1, with_currency)]).apply(event) is event


def test_a_type_can_be_renamed_and_goes_on_as_the_other() -> None:
    upcasters = Upcasters([Rename("placed", 1, "created", 2), Upcast("created", 2, in_cents)])

    read = upcasters.apply(recorded("placed", 1, {"total": 1}))

    assert (read.type, read.schema_version, read.data) == ("created", 3, {"total": 100})


def test_a_renamed_event_can_be_changed_on_the_way() -> None:
    read = Upcasters([Rename("placed", 1, "created", change=with_currency)]).apply(recorded("placed", 1))

    assert (read.type, read.schema_version, read.data) == ("created", 1, {"currency": "EUR"})


def test_a_dropped_event_keeps_its_place() -> None:
    read = Upcasters([Upcast("probed", 1, with_currency), Drop("probed", 2)]).apply(recorded("probed", 1, {"x": 1}))

    assert (read.type, read.data, read.position, read.version) == (DROPPED, {}, 7, 3)


def test_the_event_that_was_read_is_not_changed_by_its_upcasting() -> None:
    event = recorded("created", 1, {"total": 1})

    Upcasters([Upcast("created", 1, in_cents)]).apply(event)

    assert event.data == {"total": 1}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        pytest.param([Upcast("a", 1, dict), Upcast("a", 3, dict)], "none begins at version 2 of a", id="a gap"),
        pytest.param([Upcast("a", 2, dict)], "none begins at version 1 of a", id="a late beginning"),
        pytest.param(
            [Rename("b", 1, "a", 1), Rename("c", 1, "a", 2)], "none begins at version 1 of a", id="an old end"
        ),
        pytest.param([Drop("a", 2)], "none begins at version 1 of a", id="a late drop"),
        pytest.param([Upcast("a", 1, dict), Drop("a", 1)], "two begin at version 1 of a", id="a fork"),
        pytest.param([Rename("a", 1, "b"), Rename("b", 1, "a")], "in a circle", id="a circle"),
        pytest.param([Rename("a", 1, "a")], "in a circle", id="on the spot"),
        pytest.param([Upcast("a", 1, dict), Rename("a", 2, "a", 1)], "in a circle", id="back"),
        pytest.param([Upcast("a", 0, dict)], "versions begin at 1", id="version 0"),
        pytest.param([Rename("a", 1, "b", 0)], "versions begin at 1", id="to version 0"),
    ],
)
def test_a_chain_that_does_not_arrive_is_refused(steps: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Upcasters(steps)


def test_a_type_that_only_renaming_reaches_may_begin_late() -> None:
    Upcasters([Rename("b", 1, "a", 2), Upcast("a", 2, dict)])


def test_two_types_may_be_dropped_at_different_versions() -> None:
    Upcasters([Drop("a", 1), Upcast("b", 1, dict), Drop("b", 2)])


@pytest.mark.parametrize("change", [lambda data: data["none"], lambda _: ["no object"]])
def test_a_step_that_fails_names_the_row(change: Any) -> None:
    with pytest.raises(CorruptEvent, match="version 1 of created") as caught:
        Upcasters([Upcast("created", 1, change)]).apply(recorded("created", 1))

    assert caught.value.details == {"tenant": "acme", "stream": "ord_1", "version": 3}


@given(newest=st.integers(2, 12), data=st.data())
def test_any_version_arrives_at_the_newest_by_each_step_in_turn(newest: int, data: st.DataObject) -> None:
    def step(version: int) -> Upcast:
        return Upcast("a", version, lambda content: {"seen": [*content["seen"], version]})

    steps = data.draw(st.permutations([step(version) for version in range(1, newest)]))
    start = data.draw(st.integers(1, newest))

    read = Upcasters(steps).apply(recorded("a", start, {"seen": []}))

    assert (read.schema_version, read.data["seen"]) == (newest, list(range(start, newest)))
