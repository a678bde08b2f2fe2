"""Which headers travel, which stay, and how a path is written again."""

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex_gateway.domain import end_to_end, request_headers, response_headers, target_of
from cortex_gateway.domain.provenance import Source


def seen_by_the_service(*headers: tuple[bytes, bytes]) -> dict[bytes, list[bytes]]:
    passed = request_headers(headers, source=Source("192.0.2.7", "http", b"hub.example"), prefix="/api")
    return {name: [value for key, value in passed if key == name] for name, _ in passed}


def test_headers_of_one_hop_end_here() -> None:
    hop = [
        (b"connection", b"close, X-Private"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"trailer", b"x-sum"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"x-private", b"1"),
    ]

    assert end_to_end([*hop, (b"accept", b"*/*")]) == [(b"accept", b"*/*")]


def test_what_a_client_says_about_itself_is_replaced_by_what_we_see() -> None:
    seen = seen_by_the_service(
        (b"host", b"hub.example"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-port", b"1"),
        (b"forwarded", b"for=10.0.0.1"),
        (b"x-real-ip", b"10.0.0.1"),
        (b"x-cortex-principal", b"admin"),
    )

    assert seen == {
        b"via": [b"1.1 cortex-gateway"],
        b"forwarded": [b"for=192.0.2.7;host=hub.example;proto=http"],
        b"x-forwarded-for": [b"192.0.2.7"],
        b"x-forwarded-host": [b"hub.example"],
        b"x-forwarded-proto": [b"http"],
        b"x-forwarded-prefix": [b"/api"],
    }


def test_everything_else_is_passed_on_in_its_order_and_number() -> None:
    headers = [(b"cookie", b"a=1"), (b"accept", b"text/html"), (b"cookie", b"b=2"), (b"idempotency-key", b"k")]

    passed = request_headers(headers, source=Source(None, "http", b""), prefix="")

    assert passed[:4] == headers


def test_an_answer_keeps_its_headers_and_loses_those_of_the_hop() -> None:
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Location", b"orders/ord_1"),
        (b"Connection", b"keep-alive"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Date", b"Mon, 23 Nov 2026 12:00:00 GMT"),
        (b"X-Request-Id", b"req_1"),
    ]

    assert response_headers(201, headers) == [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"location", b"orders/ord_1"),
    ]


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (304, False)])
def test_an_answer_without_a_body_has_no_length(status: int, kept: bool) -> None:
    assert bool(response_headers(status, [(b"content-length", b"10")])) is kept


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary())
def test_a_target_is_decoded_to_the_path_it_was_made_of(path: str, query: bytes) -> None:
    target = target_of(f"/{path}", query)

    written, _, rest = target.partition("?")
    assert target.isascii()
    assert not set(target) & set(' "<>\\^`{|}#\r\n\t\0')
    assert unquote(written) == f"/{path}"
    assert bool(rest) == bool(query)


def test_a_query_that_is_well_formed_is_not_touched() -> None:
    query = b"status=open&limit=2&cursor=a%2Fb%20c+d&x[]=1"

    assert target_of("/orders", query) == f"/orders?{query.decode()}"
