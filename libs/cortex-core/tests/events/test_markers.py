"""A marker's value."""

import pytest

from cortex_core.events import Marker


@pytest.mark.parametrize("value", [-1, 2**53])
def test_a_value_that_lua_could_not_count_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="value must be from 0"):
        Marker("outbox", value)


@pytest.mark.parametrize("after", [-1, 2**53])
def test_a_value_to_follow_is_one_of_the_same_kind(after: int) -> None:
    with pytest.raises(ValueError, match="after must be from 0"):
        Marker("outbox", 1, after=after)
