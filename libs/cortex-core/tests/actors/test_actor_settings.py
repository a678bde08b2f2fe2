"""What cannot be is refused where it is given, by its name."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.actors import ActorOptions, ActorSystem, Address, InvalidAddress, Supervision
from cortex_core.actors.supervision import Restarts

from .cast import LongestJitter


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"mailbox": 0}, "mailbox"),
        ({"mailbox": 1.5}, "mailbox"),
        ({"mailbox": True}, "mailbox"),
        ({"stash": -1}, "stash"),
        ({"stash": "1"}, "stash"),
        ({"idle": 0}, "idle"),
        ({"idle": math.nan}, "idle"),
        ({"overflow": "shrug"}, "overflow"),
        ({"supervision": None}, "supervision"),
    ],
)
def test_options_out_of_their_bounds_are_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ActorOptions(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_restarts": -1}, "max_restarts"),
        ({"max_restarts": 2.0}, "max_restarts"),
        ({"within": 0}, "within"),
        ({"within": math.inf}, "within"),
        ({"backoff": -0.1}, "backoff"),
        ({"max_backoff": math.nan}, "max_backoff"),
        ({"backoff": 2.0, "max_backoff": 1.0}, "max_backoff"),
        ({"decide": "restart"}, "decide"),
    ],
)
def test_a_supervision_out_of_its_bounds_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Supervision(**settings)


def test_the_least_of_everything_is_allowed() -> None:
    ActorOptions(mailbox=1, stash=0, idle=0.001)
    Supervision(max_restarts=0, within=0.001, backoff=0, max_backoff=0)


def test_a_wait_grows_to_its_most_however_many_restarts() -> None:
    restarts = Restarts(Supervision(max_restarts=5_000, backoff=0.1, max_backoff=10.0), LongestJitter())

    delays = [restarts.next_delay(0.0) for _ in range(5_000)]

    assert delays[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0])
    assert delays[-1] == 10.0
    assert restarts.next_delay(0.0) is None
    assert len(restarts) == 5_000


def test_a_restart_counts_until_its_window_is_over() -> None:
    restarts = Restarts(Supervision(max_restarts=1, within=60.0), LongestJitter())

    assert restarts.next_delay(100.0) == pytest.approx(0.1)
    assert restarts.next_delay(159.9) is None
    assert restarts.next_delay(160.0) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["orders/order/ord_1", "orders/mailer", "a/b/c/d", "orders/order/acme/ord_1", "o/$1"])
def test_an_address_is_its_text(text: str) -> None:
    assert str(Address.parse(text)) == text


@given(st.text() | st.text(alphabet="ab/:$ ", max_size=12))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except InvalidAddress as error:
        assert error.code == "actor.invalid-address"
    else:
        assert str(address) == text


@given(st.text() | st.integers() | st.binary() | st.none())
def test_any_id_is_one_segment_or_refused(key: Any) -> None:
    system = ActorSystem("orders")
    system.register("order", lambda _: None)  # type: ignore[arg-type, return-value]

    try:
        ref = system.ref("order", key)
    except InvalidAddress as error:
        assert isinstance(error, ValueError)
    else:
        assert str(ref.address) == f"orders/order/{key}"
        assert Address.parse(str(ref.address)) == ref.address
