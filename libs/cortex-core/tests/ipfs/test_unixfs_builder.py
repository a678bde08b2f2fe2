import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ipfs import DAG_PB, MAX_BLOCK, RAW, Block, FileBuilder, Layout

Content = Callable[[str, int], bytes]


def test_the_cid_is_kubos_and_the_js_importers(vector: dict[str, Any], content: Content) -> None:
    builder = FileBuilder(Layout(vector["chunk_size"], vector["max_links"]))

    builder.add(content(vector["seed"], vector["size"]))
    root = builder.finish()

    assert vector["kubo"] == vector["js"] == vector["cid"], "the oracles agree"
    assert vector.get("kubo_plain", vector["cid"]) == vector["cid"], "also with Kubo's own defaults"
    assert (str(root.cid), root.size) == (vector["cid"], vector["size"])


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)), st.integers(1, 20), st.integers(2, 5))
def test_how_the_stream_is_cut_does_not_matter(data: bytes, cuts: list[int], chunk_size: int, max_links: int) -> None:
    layout = Layout(chunk_size, max_links)
    whole, cut = FileBuilder(layout), FileBuilder(layout)
    edges = [0, *sorted(cuts), len(data)]

    blocks = whole.add(data)
    pieces = [block for start, stop in pairwise(edges) for block in cut.add(data[start:stop])]
    root, same = whole.finish(), cut.finish()

    assert (blocks + root.blocks, root.cid, root.size) == (pieces + same.blocks, same.cid, same.size)


@given(st.binary(max_size=400), st.integers(1, 20), st.integers(2, 5))
def test_leaves_are_raw_nodes_bounded_and_the_root_comes_last(data: bytes, chunk_size: int, max_links: int) -> None:
    builder = FileBuilder(Layout(chunk_size, max_links))
    blocks = builder.add(data)
    root = builder.finish()
    blocks += root.blocks

    assert b"".join(block.data for block in blocks if block.cid.codec == RAW) == data
    assert all(block.data.count(b"\x0a\x24\x01") <= max_links for block in blocks if block.cid.codec == DAG_PB)
    assert blocks[-1].cid == root.cid


def test_a_long_file_needs_little_memory() -> None:
    piece = bytes(65_536)
    builder = FileBuilder()

    tracemalloc.start()
    try:
        for _ in range(2048):  # 128 MiB, three nodes of leaves
            builder.add(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert builder.finish().size == 128 * 1024 * 1024
    assert peak < 2 * 1024 * 1024


@pytest.mark.parametrize(("chunk_size", "max_links"), [(0, 174), (MAX_BLOCK + 1, 174), (262_144, 1)])
def test_a_layout_that_cannot_work_is_refused(chunk_size: int, max_links: int) -> None:
    with pytest.raises(ValueError, match=r"chunks|nodes"):
        Layout(chunk_size, max_links)


def test_a_block_is_true_by_construction() -> None:
    assert Block.of(RAW, b"bytes").checked() == Block.of(RAW, b"bytes")
