"""The messages, byte by byte, against blocks that Kubo 0.43.1 wrote."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ipfs import RAW, Cid, dagpb
from cortex_core.ipfs.dagpb import FileNode, MalformedNode, Part

# The root of the table's row "1000 by 16": three nodes of 432, 432 and 136 bytes.
KUBO_ROOT = bytes.fromhex(
    "122b0a24017012204a55597c37eeeefbb897be3f832c511060a6d0765cb6372ea9827ea680cf4f731200189312"
    "122b0a240170122098dd5f35cd364aafd9dffb84791e6430f1a70c1d71437771e15fb3442d3d7b601200189312"
    "122b0a2401701220323c5531ae93cfa43be62248a8e589222e901023b768f092343487dbe5892d491200188306"
    "0a0e080218e80720b00320b003208801"
)
KUBO_DIRECTORY = bytes.fromhex(
    "122b0a2401551220d1662c37e1f864824d3414984837fc89824658dc4f6d572e16bec2eb6a3ab79012016818180a020801"
)
KUBO_INLINE_LEAF = bytes.fromhex("0a160802121068656c6c6f20776f726c642c207477691810")

digests = st.binary(min_size=32, max_size=32)
parts = st.builds(
    Part,
    st.builds(Cid, st.just(1), st.sampled_from([RAW, 0x70]), digests),
    st.integers(1, 2**50),
    st.integers(0, 2**62),
)


def test_kubos_root_is_read_and_written_byte_by_byte() -> None:
    node = dagpb.decode(KUBO_ROOT)

    assert [(part.size, part.tsize) for part in node.parts] == [(432, 2323), (432, 2323), (136, 771)]
    assert node.size == 1000
    assert dagpb.encode(node) == KUBO_ROOT


def test_a_leaf_with_its_data_inside_is_read_and_written() -> None:
    assert dagpb.decode(KUBO_INLINE_LEAF) == FileNode([], b"hello world, twi")
    assert dagpb.encode(FileNode([], b"hello world, twi")) == KUBO_INLINE_LEAF


def test_data_before_links_is_read_too() -> None:
    links, data = KUBO_ROOT[:-16], KUBO_ROOT[-16:]

    assert dagpb.decode(data + links) == dagpb.decode(links + data)


@given(st.lists(parts, max_size=5), st.binary(max_size=20))
def test_what_is_written_is_read_back(children: list[Part], data: bytes) -> None:
    node = FileNode(children, data)

    assert dagpb.decode(dagpb.encode(node)) == node


@given(st.binary(max_size=100), st.integers(0, len(KUBO_ROOT)), st.integers(0, len(KUBO_ROOT)))
def test_any_bytes_are_a_node_or_refused_as_one(data: bytes, start: int, stop: int) -> None:
    for block in (data, KUBO_ROOT[:start] + data + KUBO_ROOT[stop:]):
        with suppress(MalformedNode):
            assert dagpb.decode(block).size >= 0


CID_FIELD = b"\x0a\x24" + Cid.of(RAW, b"x").to_bytes()
LINK = b"\x12\x26" + CID_FIELD


def _node(message: bytes, *links: bytes) -> bytes:
    return b"".join(links) + b"\x0a" + bytes([len(message)]) + message


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "without UnixFS data"),
        (KUBO_DIRECTORY, "directory"),
        (_node(b"\x08\x05"), "HAMT shard"),
        (_node(b""), "UnixFS type None"),
        (_node(b"\x08\x02\x18\x05", LINK), "1 links and 0 block sizes"),
        (_node(b"\x08\x02\x18\x00\x20\x00", LINK), "a part without bytes"),
        (_node(b"\x08\x02\x18\x05\x20\x04", LINK), "5 bytes whose parts have 4"),
        (_node(b"\x08\x02\x30\x01"), "field 6"),
        (_node(b"\x08\x02") + _node(b"\x08\x02"), "field 1"),
        (_node(b"\x08\x02", b"\x12\x00"), "link without a CID"),
        (_node(b"\x08\x02", b"\x12\x02\x20\x00"), "field 4 does not belong in a link"),
        (_node(b"\x08\x02", b"\x12\x04\x0a\x02\x01\x55"), "not a CID known here"),
        (b"\x0a\x7f\x08\x02", "cut off"),
        (b"\x0d\x00\x00\x00\x00", "wire type 5"),
        (b"\x0a\x80", "does not end"),
    ],
)
def test_what_is_not_a_file_is_refused_with_the_reason(block: bytes, reason: str) -> None:
    with pytest.raises(MalformedNode, match=reason):
        dagpb.decode(block)
