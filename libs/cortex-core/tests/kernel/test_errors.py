"""An error carries its code, its kind, and whether time can heal it."""

import pytest

from cortex_core.kernel import CortexError, Kind


class NoSuchOrder(CortexError):
    code, kind = "order.not-found", Kind.NOT_FOUND


class BusDown(CortexError):
    code, kind = "bus.unavailable", Kind.UNAVAILABLE


def test_an_error_says_what_and_of_whom() -> None:
    error = NoSuchOrder("order ord_1 does not exist", order_id="ord_1")

    assert str(error) == error.message == "order ord_1 does not exist"
    assert error.details == {"order_id": "ord_1"}
    assert (error.code, error.kind) == ("order.not-found", "not-found")


@pytest.mark.parametrize("kind", Kind)
def test_time_heals_what_is_away_late_or_too_much_and_nothing_else(kind: Kind) -> None:
    error = type("Some", (CortexError,), {"kind": kind})("some trouble")

    assert error.retryable is (kind in {Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.RATE_LIMITED})


def test_an_error_may_know_better_than_its_kind() -> None:
    assert NoSuchOrder("not yet there", retryable=True).retryable
    assert not BusDown("for good", retryable=False).retryable


def test_an_error_can_say_when_to_come_back() -> None:
    assert BusDown("down", retry_after=2.5).retry_after == 2.5
    assert BusDown("down").retry_after is None


def test_an_error_can_say_that_the_work_never_began() -> None:
    assert BusDown("lost on the way").attempted
    assert not BusDown("no connection", attempted=False).attempted
