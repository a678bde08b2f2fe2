import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ipfs import varint


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (16384, "808001")]
)
def test_the_specifications_examples(number: int, encoded: str) -> None:
    assert varint.encode(number).hex() == encoded


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_what_is_written_is_read_back_where_it_stands(number: int, before: bytes, after: bytes) -> None:
    encoded = varint.encode(number)

    assert varint.decode(before + encoded + after, len(before)) == (number, len(before) + len(encoded))


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        varint.encode(number)


@pytest.mark.parametrize("encoded", ["", "80", "8000", "ff" * 9 + "01"])
def test_a_cut_off_a_padded_and_an_overlong_one_are_refused(encoded: str) -> None:
    with pytest.raises(ValueError, match="varint"):
        varint.decode(bytes.fromhex(encoded))
