"""An answer as bytes, and bytes that are none."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.http_cache.codec import decode, encode
from cortex_core.testing.contracts.httpcache import an_answer


@given(value=st.binary(max_size=200))
def test_bytes_that_are_no_answer_are_none(value: bytes) -> None:
    assert decode(value) is None


@given(data=st.data())
def test_an_answer_with_a_byte_changed_is_one_or_none(data: Any) -> None:
    value = bytearray(encode(an_answer(b"x" * 20, tags=("a",))))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))

    decode(bytes(value))


def test_an_answer_cut_short_is_none() -> None:
    value = encode(an_answer(b"body"))

    assert decode(value) == an_answer(b"body")
    assert all(decode(value[:length]) is None for length in range(len(value)))


def test_an_answer_of_another_version_is_none() -> None:
    assert decode(encode(an_answer()).replace(b'"v":2', b'"v":1')) is None
