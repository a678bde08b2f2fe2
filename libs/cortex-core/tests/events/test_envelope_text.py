"""An event's text is put together by hand: it must be what the JSON encoder would have made of its members."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cortex_core.events import CloudEvent
from cortex_core.kernel.clock import rfc3339

_text = st.text(min_size=1)
_optional = st.none() | _text
_data = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)


@given(
    members=st.fixed_dictionaries(dict.fromkeys(("id", "source", "type", "subject", "tenant"), _text)),
    optional=st.fixed_dictionaries(dict.fromkeys(("dataschema", "traceparent", "tracestate"), _optional)),
    version=st.none() | st.integers(min_value=0),
    data=_data,
)
def test_an_events_text_is_that_of_its_members(
    members: dict[str, str], optional: dict[str, str | None], version: int | None, data: dict[str, Any]
) -> None:
    event = CloudEvent(**members, **optional, version=version, data=data)

    expected = json.dumps(event.to_dict(), separators=(",", ":"), ensure_ascii=False)
    assert event.to_json().decode() == expected if expected.isascii() else _comparable(event, expected)


@given(
    st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC) | st.timezones())  # noqa: DTZ001 - a bound
)
def test_an_events_time_is_in_utc_with_microseconds(moment: datetime) -> None:
    event = CloudEvent("order.created", "/order", "ord_1", {}, time=moment)

    assert json.loads(event.to_json())["time"] == event.to_dict()["time"] == rfc3339(moment)


def _comparable(event: CloudEvent, expected: str) -> bool:
    """Half a surrogate pair has no UTF-8: neither way."""
    try:
        return event.to_json() == expected.encode()
    except UnicodeEncodeError:
        return any("\ud800" <= character <= "\udfff" for character in expected)
