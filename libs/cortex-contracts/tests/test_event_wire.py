"""Every event's data over the wire: what is written is what is read, also when a newer version wrote it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cortex_contracts import CATALOG, EventData, FileStored, OrderCreated, OrderStateChanged
from cortex_contracts.event import ValidationError

Example = tuple[EventData, dict[str, Any]]


def test_it_looks_on_the_wire_as_agreed(example: Example) -> None:
    data, wire = example

    assert data.wire() == wire


def test_it_comes_back_as_it_went(example: Example) -> None:
    data, _ = example

    arrived = json.loads(json.dumps(data.wire()))

    assert CATALOG[data.type].of(arrived) == data


def test_its_members_are_camel_case(example: Example) -> None:
    data, _ = example

    for name in data.wire():
        assert name.isalnum(), name
        assert name[0].islower(), name


def test_members_of_a_newer_version_are_ignored(example: Example) -> None:
    data, wire = example

    assert type(data).of({**wire, "fromTheFuture": {"deep": [1, 2]}}) == data


def test_a_member_that_is_missing_is_named(example: Example) -> None:
    data, wire = example
    required = next(name for name, field in type(data).model_fields.items() if field.is_required())
    alias = type(data).model_fields[required].alias or required

    with pytest.raises(ValueError, match=alias):
        type(data).of({name: value for name, value in wire.items() if name != alias})


def test_what_does_not_fit_is_named_and_not_repeated(example: Example) -> None:
    data, wire = example

    with pytest.raises(ValidationError) as caught:
        type(data).of({name: ["canary-of-a-customer"] for name in wire})

    assert "canary" not in f"{caught.value} {caught.value!r}"
    assert all(name in str(caught.value) for name in wire)


def test_it_names_its_schema_with_its_version(example: Example) -> None:
    data, _ = example

    assert data.dataschema() == f"urn:cortex:event:{data.type}/{data.schema_version}"
    assert data.dataschema().rpartition("/")[2].isdigit()


def test_it_cannot_be_changed(example: Example) -> None:
    data, _ = example

    with pytest.raises(ValidationError, match="frozen"):
        setattr(data, next(iter(type(data).model_fields)), "other")


def test_what_is_absent_is_left_out() -> None:
    assert OrderStateChanged(order_id="ord_1", state="pending").wire() == {"orderId": "ord_1", "state": "pending"}
    assert FileStored(cid="bafkqaaa", size=0).wire() == {"cid": "bafkqaaa", "size": 0}


def test_a_state_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="state"):
        OrderStateChanged.of({"orderId": "ord_1", "state": "lost"})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="OrderCreated"):
        OrderCreated.of(["ord_1"])


def test_a_time_of_another_zone_is_the_same_moment(examples: dict[str, Example]) -> None:
    wire = {**examples["order.created"][1], "createdAt": "2026-11-23T14:00:00.250+02:00"}

    created = OrderCreated.of(wire)

    assert created.created_at == datetime(2026, 11, 23, 14, 0, 0, 250_000, timezone(timedelta(hours=2)))
    assert created.created_at.astimezone(UTC).hour == 12


def test_money_is_a_whole_number_and_stays_one(examples: dict[str, Example]) -> None:
    wire = examples["order.created"][1]

    assert json.loads(json.dumps(OrderCreated.of(wire).wire()))["total"] == 2500
    with pytest.raises(ValueError, match="total"):
        OrderCreated.of({**wire, "total": 25.5})
