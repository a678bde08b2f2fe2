"""Headers as ASGI has them: pairs of bytes, names in lower case."""

from cortex_core.asgi.types import all_of, header

HEADERS = [(b"a", b"1"), (b"b", b"\xe4"), (b"a", b"2")]


def test_the_first_value_is_found_as_text() -> None:
    assert (header(HEADERS, b"a"), header(HEADERS, b"b")) == ("1", "ä")


def test_what_is_absent_is_none() -> None:
    assert header(HEADERS, b"c") is None


def test_all_values_come_in_their_order() -> None:
    assert (all_of(HEADERS, b"a"), all_of(HEADERS, b"c")) == (["1", "2"], [])
