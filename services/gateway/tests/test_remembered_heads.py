"""Heads that were read before: what is not parsed a second time would have been read as the same request."""

import math
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cortex_core.kernel import Principal
from cortex_gateway.dataplane.prepared import LONGEST, MOST, Budget, Prepared, Remembered
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.table import Entry

from .heads_read import read

FIELDS: Final = (
    b"Host: hub\r\n",
    b"host:hub\r\nAccept: */*\r\n",
    b"Host: hub\r\nX-A: GET /x HTTP/1.1\r\n",
    b"Host: hub\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n",
    b"Host: hub\r\nConnection: close\r\n",
    b"Host: hub\r\nContent-Length: 0\r\n",
    b"Host: hub\r\nContent-Length: 3\r\n",
    b"Host: hub\r\nTransfer-Encoding: chunked\r\n",
    b"Host: hub\r\nExpect: 100-continue\r\n",
    b"Host: hub\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
    b"Host: hub\r\nHost: hub\r\n",
    b"Host : hub\r\n",
    b"Accept: */*\r\n",
    b"",
)
LINES: Final = (
    b"GET /api HTTP/1.1",
    b"HEAD /api HTTP/1.1",
    b"GET /api/orders?limit=1 HTTP/1.1",
    b"GET /api/orders/a%2fb HTTP/1.1",
    b"GET  /api HTTP/1.1",
    b"GET /api HTTP/1.0",
    b"GET /api HTTP/2.0",
    b"GET /api RTSP/1.1",
    b"GET http://hub/api HTTP/1.1",
    b"GET /api#x HTTP/1.1",
    b"POST /api HTTP/1.1",
    b"CONNECT hub:1 HTTP/1.1",
    b"GET /a\r\nX: y HTTP/1.1",
    b"GET /a\r\nX:y HTTP/1.1",
    b"GET /a%zz HTTP/1.1",
    b"GET /a?b=%zz HTTP/1.1",
    b"GET /a?b#c HTTP/1.1",
    b"GET /a?b\r\nX:y HTTP/1.1",
    b"GET a HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET /a b HTTP/1.1",
    b"GET /a\x00 HTTP/1.1",
    b"GET /a HTTP/1.1 ",
    b"GET /a HTTP/1.1\nX:y",
    b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1",
    b"\r\nGET /api HTTP/1.1",
    b"get /api HTTP/1.1",
    b"GET /\xc3\xa4 HTTP/1.1",
    b"",
)


def request(method: bytes, target: bytes, headers: Any = ()) -> Prepared:
    entry = Entry(method, method.decode(), "/any")
    said = {name: value for name, value in headers if name == b"content-length"}
    return Prepared(entry, Reading(headers, said, b""), target, (Principal("anybody"), math.inf), 0, None)


def remembering(data: bytes) -> Remembered:
    """What a connection remembers of a first request: nothing, where it was not clean."""
    remembered = Remembered(Budget())
    seen, _, _ = read(data)
    if len(seen) == 1:
        method, target, headers, how = seen[0]
        if how == "alone":
            remembered.keep(data, request(method, target, headers), headers)
        elif how:
            remembered.keep_with_body(data, request(method, target, headers))
    return remembered


def heads(lines: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    bodies = st.sampled_from([b"", b"", b"", b"abc", b"0\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: hub\r\n\r\n"])
    return st.builds(
        lambda line, fields, body: line + b"\r\n" + fields + b"\r\n" + body, lines, st.sampled_from(FIELDS), bodies
    )


ODD: Final = st.one_of(
    st.sampled_from(LINES), st.builds(lambda target: b"GET /" + target + b" HTTP/1.1", st.binary(max_size=12))
)


_POST: Final = b"POST /api HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\n%b"


@given(heads(st.sampled_from(LINES)), heads(ODD))
@example(b"GET /a HTTP/1.1\r\nHost: hub\r\n\r\n", b"GET /a HTTP/1.1\r\nX: y HTTP/1.1\r\nHost: hub\r\n\r\n")
@example(b"GET /a HTTP/1.1\r\nHost: hub\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: hub\r\n\r\n")
@example(_POST % b"abc", _POST % b"cba")
@example(_POST % b"abc", _POST % b"cb")
@example(_POST % b"abc", _POST % b"cbaGET / HTTP/1.1\r\n\r\n")
@example(b"GET /a HTTP/1.1\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\n")
def test_whatever_is_not_parsed_would_have_been_read_the_same(first: bytes, then: bytes) -> None:
    same(remembering(first), then)


@pytest.mark.parametrize("line", LINES)
def test_an_odd_line_before_known_fields_is_parsed(line: bytes) -> None:
    for fields in FIELDS[:4]:
        then = b"%b\r\n%b\r\n" % (line, fields)
        same(remembering(b"GET /first HTTP/1.1\r\n%b\r\n" % fields), then)
        same(remembering(then), then)


def test_a_target_that_names_its_host_leaves_nothing_to_be_taken_for_fields() -> None:
    first = b"GET http://hub/api HTTP/1.1\r\nHost: hub\r\n\r\n"
    remembered = remembering(first)

    for cut in range(len(first)):
        same(remembered, b"GET /x HTTP/1.1\r\n" + first[cut:])


def same(remembered: Remembered, then: bytes) -> None:
    """What is not parsed would have been read as that."""
    known, line, with_body = remembered.find(then), remembered.line(then), remembered.with_body(then)

    if known is not None:
        line = (known.entry.method, known.target)
    if line is not None:
        assert read(then) == ([(*line, remembered.headers, "alone")], b"", b"")
    if with_body is not None:
        known, body = with_body
        said = (known.entry.method, known.target, known.reading.headers, "with body")
        assert read(then) == ([said], b"", body)


def test_the_same_client_asking_for_something_else_need_not_be_parsed() -> None:
    remembered = remembering(b"GET /a HTTP/1.1\r\nHost: hub\r\n\r\n")

    assert remembered.line(b"HEAD /b?c=d HTTP/1.1\r\nHost: hub\r\n\r\n") == (b"HEAD", b"/b?c=d")
    assert remembered.line(b"GET /a HTTP/1.1\r\nHost: hub\r\nA: b\r\n\r\n") is None


def test_a_body_of_the_length_that_was_said_comes_with_its_head_or_is_read_as_it_comes() -> None:
    remembered = remembering(_POST % b"a")
    found = remembered.with_body(_POST % b"cba")

    assert found is not None
    assert (found[0].target, found[1]) == (b"/api", b"cba")
    assert [remembered.with_body(_POST % body) for body in (b"", b"cb", b"cbab")] == [None] * 3
    assert remembered.find(_POST % b"") is None


def test_other_fields_make_it_forget_what_it_knew_by_the_last_ones() -> None:
    one, other = b"GET /a HTTP/1.1\r\nHost: hub\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: bub\r\n\r\n"
    remembered = remembering(one)
    remembered.keep(other, request(b"GET", b"/a"), [(b"host", b"bub")])

    assert remembered.find(one) is None
    assert remembered.find(other) is not None
    assert remembered.headers == [(b"host", b"bub")]


def test_a_connection_remembers_a_few_heads_and_no_long_ones() -> None:
    remembered = Remembered(Budget())
    for number in range(MOST + 3):
        target = b"/%d" % number
        remembered.keep(b"GET %b HTTP/1.1\r\nHost: hub\r\n\r\n" % target, request(b"GET", target), ())
    found = [remembered.find(b"GET /%d HTTP/1.1\r\nHost: hub\r\n\r\n" % number) for number in range(MOST + 3)]
    long = b"GET /a HTTP/1.1\r\nHost: hub\r\nX: %b\r\n\r\n" % (b"x" * LONGEST)
    remembered.keep(long, request(b"GET", b"/a"), ())

    assert [known is not None for known in found] == [False] * 3 + [True] * MOST
    assert remembered.find(long) is None


def test_nor_more_of_those_with_a_body() -> None:
    remembered = Remembered(Budget())
    head = b"POST /%d HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n"
    for number in range(MOST + 3):
        remembered.keep_with_body(head % number, request(b"POST", b"/%d" % number))
    found = [remembered.with_body(head % number) for number in range(MOST + 3)]
    long = b"POST /a HTTP/1.1\r\nHost: hub\r\nX: %b\r\nContent-Length: 0\r\n\r\n" % (b"x" * LONGEST)
    remembered.keep_with_body(long, request(b"POST", b"/a"))

    assert [known is not None for known in found] == [False] * 3 + [True] * MOST
    assert remembered.with_body(long) is None


def test_all_connections_together_remember_no_more_than_their_budget_and_give_it_back() -> None:
    budget = Budget(20_000)
    many = [Remembered(budget) for _ in range(30)]
    alone, with_body = b"GET /%d HTTP/1.1\r\nHost: hub\r\n\r\n", b"POST /%d HTTP/1.1\r\nContent-Length: 0\r\n\r\n"

    def fill(each: Remembered) -> None:
        for number in range(MOST + 3):
            each.keep(alone % number, request(b"GET", b"/%d" % number), [(b"host", b"hub")])
            each.add(alone % (number + 50), request(b"GET", b"/%d" % (number + 50)))
            each.keep_with_body(with_body % number, request(b"POST", b"/%d" % number))

    for each in many:
        fill(each)
    used = budget.left
    held = [each.find(alone % (MOST + 52)) is not None for each in many]
    assert 0 <= used < 2_000
    assert held[0]
    assert not any(held[5:])
    many[0].keep(alone.replace(b"hub", b"bub") % 1, request(b"GET", b"/1"), [(b"host", b"bub")])
    assert budget.left > used  # other fields take the place of the last ones

    for each in many:
        each.forget()
    assert budget.left == 20_000
    assert many[0].line(alone % 1) is None
    fill(many[-1])
    assert many[-1].find(alone % (MOST + 52)) is not None


def test_the_same_again_costs_nothing() -> None:
    budget = Budget()
    remembered = Remembered(budget)
    head = b"GET /a HTTP/1.1\r\nHost: hub\r\n\r\n"
    lefts = set()
    for _ in range(3):
        remembered.keep(head, request(b"GET", b"/a"), [(b"host", b"hub")])
        lefts.add(budget.left)
    assert len(lefts) == 1
