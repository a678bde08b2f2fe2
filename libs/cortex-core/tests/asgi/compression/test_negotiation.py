"""Which coding a client gets, as RFC 9110 section 12.5.3 says."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.compression import Choice, negotiate

OURS = ("zstd", "br", "gzip", "deflate")
PLAIN = Choice(None, True)
REFUSED = Choice(None, False)


@pytest.mark.parametrize(
    ("header", "choice"),
    [
        pytest.param(None, PLAIN, id="absent: anything would do, everybody can read identity"),
        pytest.param("", PLAIN, id="empty: identity alone"),
        pytest.param("gzip", Choice("gzip", True), id="one"),
        pytest.param("gzip, deflate, br, zstd", Choice("zstd", True), id="equals: our order"),
        pytest.param("gzip, br;q=0.9", Choice("gzip", True), id="the heaviest"),
        pytest.param("gzip;q=0", PLAIN, id="refused"),
        pytest.param("gzip;q=0.000, br;q=0.001", Choice("br", True), id="three digits"),
        pytest.param("*", Choice("zstd", True), id="any"),
        pytest.param("*;q=0.5, gzip", Choice("gzip", True), id="one before any"),
        pytest.param("zstd;q=0, *", Choice("br", True), id="any but one"),
        pytest.param("identity", PLAIN, id="identity alone"),
        pytest.param("identity, gzip;q=0.5", PLAIN, id="identity before ours"),
        pytest.param("identity;q=0.5, gzip", Choice("gzip", True), id="ours before identity"),
        pytest.param("identity, gzip", Choice("gzip", True), id="as gladly"),
        pytest.param("identity;q=0, gzip", Choice("gzip", False), id="not as it is"),
        pytest.param("*;q=0, gzip", Choice("gzip", False), id="nothing else"),
        pytest.param("*;q=0, identity", PLAIN, id="nothing but identity"),
        pytest.param("identity;q=0", REFUSED, id="neither as it is nor otherwise"),
        pytest.param("*;q=0", REFUSED, id="nothing"),
        pytest.param("compress, identity;q=0", REFUSED, id="what nobody has"),
        pytest.param("compress", PLAIN, id="unknown: as it is"),
        pytest.param("GZip ; Q=0.8 , BR;q=0.7", Choice("gzip", True), id="case and spaces"),
        pytest.param("x-gzip", Choice("gzip", True), id="its old name"),
        pytest.param("gzip;q=0, gzip", PLAIN, id="twice: the first"),
        pytest.param("gzip;q=2, br", Choice("br", True), id="no weight: as if absent"),
        pytest.param("gzip;level=3, gzip;q=, gzip;q=0.1234, gzip;q=0.5;q=0.5, gzip;q", PLAIN, id="none of them is one"),
        pytest.param(",, ;q=1, g zip, gzip,", Choice("gzip", True), id="rubbish around one"),
        pytest.param("gzip" + ", deflate;q=0.1" * 100, Choice("gzip", True), id="longer than is remembered"),
    ],
)
def test_a_header_decides(header: str | None, choice: Choice) -> None:
    assert negotiate(header, OURS) == choice


def test_what_is_not_offered_is_not_chosen() -> None:
    assert negotiate("zstd, br;q=0.5, gzip;q=0.2", ("gzip",)) == Choice("gzip", True)


def test_the_servers_order_decides_among_equals() -> None:
    assert negotiate("gzip, br", ("gzip", "br")).coding == "gzip"
    assert negotiate("gzip, br", ("br", "gzip")).coding == "br"


PIECES = st.sampled_from(
    ["gzip", "br", "zstd", "identity", "*", ";", "q=", "q", "=", "0", "1", ".", "0.5", ",", " ", "\t", "\x00", "ÿ", "x"]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join)))
def test_no_header_raises_and_the_choice_is_one_of_ours(header: str) -> None:
    choice = negotiate(header, OURS)

    assert choice.coding in (None, *OURS)


@given(
    st.lists(
        st.tuples(st.sampled_from([*OURS, "identity", "*", "other"]), st.integers(0, 1000)), unique_by=lambda p: p[0]
    )
)
def test_the_choice_is_what_the_weights_say(asked: list[tuple[str, int]]) -> None:
    choice = negotiate(",".join(f"{name};q={weight / 1000:.3f}" for name, weight in asked), OURS)

    weight = dict(asked)
    of = {name: weight.get(name, weight.get("*", 0)) for name in OURS}
    identity = weight.get("identity", weight.get("*"))
    if choice.coding is None:
        assert not any(of.values()) or (identity or 0) > max(of.values())
    else:
        assert of[choice.coding] == max(of.values()) > 0
        assert (identity or 0) <= of[choice.coding]
    assert choice.identity == (identity != 0)


def test_long_headers_fill_no_memory() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(300):
        negotiate(f"gzip, {number:020000}", OURS)

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000
