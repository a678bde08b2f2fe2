"""Where a credential may stand, and that nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.security import AmbiguousCredentials, InvalidCredential
from cortex_core.security.credentials import CARRIERS, MAX_SIZE, PUBLIC_CARRIERS, Credential, Kind, find_credential


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([(b"authorization", b"Bearer a.b.c")], Credential(Kind.JWT, b"a.b.c")),
        ([(b"authorization", b"bearer  a.b.c")], Credential(Kind.JWT, b"a.b.c")),
        ([(b"authorization", b"Bearer ck_1")], Credential(Kind.KEY, b"ck_1")),
        ([(b"x-api-key", b"ck_1")], Credential(Kind.KEY, b"ck_1")),
        ([(b"x-api-key", b"ck_1"), (b"authorization", b"Bearer ck_1")], Credential(Kind.KEY, b"ck_1")),
        ([(b"x-cortex-principal", b"a.b.c")], Credential(Kind.TOKEN, b"a.b.c")),
        ([(b"sec-websocket-protocol", b"cortex.events, cortex.bearer.a.b.c")], Credential(Kind.JWT, b"a.b.c")),
        ([(b"sec-websocket-protocol", b"cortex.bearer.ck_1")], Credential(Kind.KEY, b"ck_1")),
        ([(b"sec-websocket-protocol", b"graphql-ws")], None),
        ([(b"cookie", b"token=a.b.c")], None),
    ],
)
def test_a_credential_is_found_where_it_may_be(headers: list[tuple[bytes, bytes]], found: Credential | None) -> None:
    assert find_credential(headers) == found


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer a.b.c"), (b"authorization", b"Bearer a.b.d")],
        [(b"authorization", b"Bearer a.b.c"), (b"x-api-key", b"ck_1")],
        [(b"authorization", b"Bearer a.b.c"), (b"x-cortex-principal", b"a.b.c")],
        [(b"sec-websocket-protocol", b"cortex.bearer.a, cortex.bearer.b")],
    ],
)
def test_two_that_differ_are_none(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(AmbiguousCredentials):
        find_credential(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b""),
        (b"authorization", b"Bearer"),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Basic a2ltOnNlY3JldA=="),
        (b"authorization", b"Bearer a b"),
        (b"authorization", b"Bearer a,b"),
        (b"authorization", b"Bearer \xe9"),
        (b"authorization", b"Bearer " + b"x" * MAX_SIZE),
        (b"x-api-key", b""),
        (b"x-api-key", b"a.b.c"),
        (b"x-api-key", b"ck_\n"),
        (b"sec-websocket-protocol", b"cortex.bearer."),
        (b"x-cortex-principal", b"x" * (MAX_SIZE + 1)),
    ],
)
def test_what_stands_in_its_place_and_is_none_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(InvalidCredential) as refused:
        find_credential([(name, value)])

    assert refused.value.reason in {"malformed", "too-large"}


def test_at_the_edge_nobody_speaks_for_somebody_else() -> None:
    assert find_credential([(b"x-cortex-principal", b"a.b.c")], PUBLIC_CARRIERS) is None


@given(st.lists(st.tuples(st.sampled_from(sorted(CARRIERS)), st.binary(max_size=64)), max_size=3))
def test_whatever_comes_ends_in_one_of_four_ways(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        found = find_credential(headers)
    except (InvalidCredential, AmbiguousCredentials):
        return
    if found is not None:
        assert any(found.value in value for _, value in headers)
        assert (found.kind is Kind.KEY) == (found.value[:3] == b"ck_") or found.kind is Kind.TOKEN
