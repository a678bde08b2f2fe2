"""Where an answer begins and ends, whatever the pieces in which it comes and whatever comes in its place."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cortex_gateway.adapters.pool.framing import Chunks, Malformed, read_head

HEAD = b'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 12\r\nConnection: X-Hop\r\nX-Hop: 1\r\nETag: "1"\r\n\r\n'
CHUNKED = b"5\r\nhello\r\n1;a=b\r\n \r\n00c\r\n" + b"x" * 12 + b"\r\n0\r\nA: 1\r\n\r\nrest"

pieces = st.sampled_from([b"", b"\r", b"\n", b"\r\n", b":", b" ", b"0", b"\x00", b"\xff", b","])
edits = st.lists(st.tuples(st.integers(0, 200), pieces), min_size=1, max_size=4)


def edited(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    for place, piece in changes:
        at = place % len(data)
        data = data[:at] + piece + data[at + 1 :]
    return data


@given(cuts=st.lists(st.integers(0, len(CHUNKED)), max_size=12))
def test_the_pieces_do_not_matter(cuts: list[int]) -> None:
    chunks, body = Chunks(), b""
    edges = [0, *sorted(cuts), len(CHUNKED)]
    for start, end in pairwise(edges):
        if not chunks.ended:
            body += chunks.feed(CHUNKED[start:end])

    assert (body, chunks.ended) == (b"hello " + b"x" * 12, True)
    assert b"rest".startswith(chunks.rest)


@given(changes=edits)
def test_damaged_chunks_are_chunks_or_malformed(changes: list[tuple[int, bytes]]) -> None:
    chunks = Chunks()
    try:
        body = chunks.feed(edited(CHUNKED, changes))
    except Malformed:
        return
    assert len(body) <= len(CHUNKED) + 4


@given(changes=edits, bodiless=st.booleans())
def test_a_damaged_head_is_a_head_or_malformed(changes: list[tuple[int, bytes]], bodiless: bool) -> None:
    try:
        head, chunked, _ = read_head(edited(HEAD, changes), bodiless=bodiless)
    except Malformed:
        return
    assert head.folded == head.fields.lower()
    assert not chunked
    lines = head.fields.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.partition(b":")[1] and b"\r" not in line and b"\n" not in line for line in lines)


@given(data=st.binary(max_size=64))
def test_what_is_nothing_is_malformed(data: bytes) -> None:
    try:
        read_head(data + b"\r\n\r\n", bodiless=False)
    except Malformed:
        return
    assert data.startswith(b"HTTP/1.")
