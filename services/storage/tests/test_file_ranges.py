import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_storage.api.ranges import RangeNotSatisfiable, matches, requested_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        (" bytes=0-0 ", (0, 1)),
    ],
)
def test_a_range_is_cut_to_the_file(header: str, expected: tuple[int, int]) -> None:
    assert requested_range(header, 100) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=٣-",
    ],
)
def test_what_makes_no_sense_asks_for_everything(header: str | None) -> None:
    assert requested_range(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        requested_range(header, size)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 150))
def test_a_satisfied_range_is_the_slice_it_names(first: int, last: int, size: int) -> None:
    data = bytes(size)
    try:
        part = requested_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert data[first : last + 1] == b""
        return
    if part is None:
        assert last < first
    else:
        assert data[slice(*part)] == data[first : last + 1] != b""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_if_none_match_compares_weakly(header: str | None, expected: bool) -> None:
    assert matches(header, '"a"') is expected
