"""The words on a client's line: frames out, messages in, and who may connect at all."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel import CortexError
from cortex_notification.domain import admits, answer, error_frame, event_frame, welcome_frame

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_an_event_has_four_members() -> None:
    frame = event_frame("order.created", "evt_1", NOON, {"orderId": "ord_1", "note": "für Ö"})

    assert orjson.loads(frame) == {
        "type": "order.created",
        "id": "evt_1",
        "time": "2026-11-23T12:00:00.000000Z",
        "data": {"orderId": "ord_1", "note": "für Ö"},
    }


def test_a_welcome_says_who_and_when() -> None:
    assert orjson.loads(welcome_frame("client_1", NOON)) == {
        "type": "welcome",
        "clientId": "client_1",
        "timestamp": "2026-11-23T12:00:00.000000Z",
    }


def test_a_ping_is_answered() -> None:
    assert orjson.loads(answer('{"type":"ping"}')) == {"type": "pong"}
    assert orjson.loads(answer('{"type":"ping","fromTheFuture":1}')) == {"type": "pong"}


@pytest.mark.parametrize("message", ["", "ping", "{", "[]", "null", "1", '"ping"', "{}", '{"type":1}', '{"type":null}'])
def test_what_makes_no_sense_is_malformed(message: str) -> None:
    with pytest.raises(CortexError) as caught:
        answer(message)

    assert caught.value.code == "message.malformed"


@pytest.mark.parametrize("message", ['{"type":"subscribe"}', '{"type":""}', '{"type":"PING"}'])
def test_a_type_that_means_nothing_is_unknown(message: str) -> None:
    with pytest.raises(CortexError) as caught:
        answer(message)

    assert caught.value.code == "message.unknown-type"
    assert orjson.loads(error_frame(caught.value)) == {
        "type": "error",
        "code": "message.unknown-type",
        "detail": caught.value.message,
    }


FRAGMENTS = ["{", "}", "[", "]", ":", ",", '"type"', '"ping"', '"\\ud800"', "1", "-", "null", " "]


@given(st.text() | st.lists(st.sampled_from(FRAGMENTS)).map("".join))
def test_whatever_is_said_is_answered_or_refused_with_a_code(message: str) -> None:
    try:
        orjson.loads(answer(message))
    except CortexError as error:
        orjson.loads(error_frame(error))
        assert error.code.startswith("message.")


def test_nesting_without_end_is_malformed() -> None:
    with pytest.raises(CortexError) as caught:
        answer('{"type":' + "[" * 2000 + "]" * 2000 + "}")

    assert caught.value.code == "message.malformed"


HOSTS = frozenset({"hub.example:3002", "hub.example"})


@pytest.mark.parametrize(
    ("origin", "origins", "expected"),
    [
        (None, frozenset[str](), True),
        ("http://hub.example:3002", frozenset[str](), True),
        ("https://hub.example", frozenset[str](), True),
        ("https://HUB.example", frozenset[str](), True),
        ("https://hub.example:444", frozenset[str](), False),
        ("https://evil.example", frozenset[str](), False),
        ("https://hub.example.evil.example", frozenset[str](), False),
        ("https://evil.example/hub.example", frozenset[str](), False),
        ("null", frozenset[str](), False),
        ("", frozenset[str](), False),
        ("https://shop.example", frozenset({"https://shop.example"}), True),
        ("http://shop.example", frozenset({"https://shop.example"}), False),
        ("https://anybody.example", frozenset({"*"}), True),
    ],
)
def test_which_pages_may_connect(origin: str | None, origins: frozenset[str], expected: bool) -> None:
    assert admits(origin, HOSTS, origins) is expected
