from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ipfs import (
    DAG_PB,
    MAX_BLOCK,
    RAW,
    Block,
    BlockCorrupt,
    BlockNotFound,
    Cid,
    FileBuilder,
    FileReader,
    FileRoot,
    Layout,
    dagpb,
)
from cortex_core.ipfs.dagpb import FileNode, Part
from cortex_core.ipfs.reader import MAX_DEPTH

NARROW = Layout(chunk_size=16, max_links=3)


class Source:
    """Blocks by their CID, some of them lies; counts what it is asked for."""

    def __init__(self, *blocks: Block) -> None:
        self.blocks = {block.cid: block.data for block in blocks}
        self.asked: list[Cid] = []

    async def get(self, cid: Cid) -> bytes:
        self.asked.append(cid)
        if cid not in self.blocks:
            raise BlockNotFound(cid)
        return self.blocks[cid]


def built(data: bytes, layout: Layout = NARROW) -> tuple[FileRoot, Source]:
    builder = FileBuilder(layout)
    blocks = builder.add(data)
    root = builder.finish()
    return root, Source(*blocks, *root.blocks)


async def read(cid: Cid, source: Source, start: int = 0, stop: int | None = None) -> bytes:
    file = await FileReader.open(cid, source.get)
    return b"".join([piece async for piece in file.read(start, stop)])


async def test_every_file_of_the_table_is_read_back(
    vector: dict[str, Any], content: Callable[[str, int], bytes]
) -> None:
    data = content(vector["seed"], vector["size"])
    _, source = built(data, Layout(vector["chunk_size"], vector["max_links"]))

    file = await FileReader.open(Cid.parse(vector["cid"]), source.get)

    assert file.size == len(data)
    assert b"".join([piece async for piece in file.read()]) == data


@given(st.binary(max_size=500), st.integers(0, 550), st.integers(0, 550))
async def test_any_range_is_the_same_slice(data: bytes, start: int, stop: int) -> None:
    root, source = built(data)

    assert await read(root.cid, source, start, stop) == data[start:stop]


async def test_a_range_fetches_only_what_is_on_its_way() -> None:
    data = bytes(range(250)) * 4  # 63 leaves beneath four levels of nodes
    root, source = built(data)

    assert await read(root.cid, source, 500, 516) == data[500:516]
    assert len(source.asked) <= 1 + 2 * 4


async def test_what_kubo_made_of_old_is_read_too() -> None:
    """Kubo 0.43.1: `ipfs add --cid-version=0 --raw-leaves=false --chunker=size-16`, leaves inside dag-pb."""
    hexes = [
        (
            "12280a221220b6fc276bad5bb4db08083dbc795e24c5305cf39d78fcbb4be2469eb34db22a351200181812280a221220f39225e9cd46a3"
            "8e2b9056c51a160b213e3cf34d613c5b4ac17f62bc7d7ce19a120018100a080802181820102008"
        ),
        "0a160802121068656c6c6f20776f726c642c207477691810",
        "0a0e080212086365206f7665720a1808",
    ]
    names = [
        "QmP3Dj4ery1S4yWLwWGuPKTFfnhAr6yLrP3EtNtJugYQtv",
        "Qmaewv8MGHfPEdSsMp4EymLynPwCiudBWk2MWV4ibqCLfv",
        "QmejT2wM4gzW2KXunjfbVeY12YkobTYc77etz5Ee4EH3e1",
    ]
    source = Source(*(Block(Cid.parse(name), bytes.fromhex(text)) for name, text in zip(names, hexes, strict=True)))

    assert await read(Cid.parse(names[0]), source) == b"hello world, twice over\n"


@given(st.data())
async def test_a_flipped_bit_anywhere_is_found_and_all_before_it_is_right(draw: st.DataObject) -> None:
    data = bytes(range(200))
    root, source = built(data)
    cid = draw.draw(st.sampled_from(sorted(source.blocks, key=str)))
    bit = draw.draw(st.integers(0, 8 * len(source.blocks[cid]) - 1))
    spoiled = bytearray(source.blocks[cid])
    spoiled[bit // 8] ^= 1 << bit % 8
    source.blocks[cid] = bytes(spoiled)

    given_out = b""
    with pytest.raises(BlockCorrupt) as caught:
        async for piece in (await FileReader.open(root.cid, source.get)).read():
            given_out += piece

    assert caught.value.code == "block.corrupt"
    assert len(given_out) < len(data)
    assert data.startswith(given_out)


@pytest.mark.parametrize("cut", [0, 1, -1])
async def test_a_truncated_block_is_found(cut: int) -> None:
    root, source = built(bytes(range(200)))
    leaf = next(cid for cid in source.blocks if cid.codec == RAW)
    source.blocks[leaf] = source.blocks[leaf][:cut]

    with pytest.raises(BlockCorrupt):
        await read(root.cid, source)


async def test_a_missing_block_is_named() -> None:
    root, source = built(bytes(range(200)))
    leaf = next(cid for cid in source.blocks if cid.codec == RAW)
    del source.blocks[leaf]

    with pytest.raises(BlockNotFound) as caught:
        await read(root.cid, source)

    assert (caught.value.code, caught.value.details["cid"]) == ("block.not-found", str(leaf))


async def test_an_unknown_root_is_not_found_before_anything_is_given_out() -> None:
    with pytest.raises(BlockNotFound):
        await FileReader.open(Cid.of(RAW, b"unknown"), Source().get)


def _parent(*children: tuple[Block, int]) -> Block:
    return Block.of(DAG_PB, dagpb.encode(FileNode([Part(child.cid, size, 0) for child, size in children])))


@pytest.mark.parametrize("declared", [1, 4, 6, 2**60])
async def test_a_parent_that_lies_about_a_size_is_found(declared: int) -> None:
    leaf = Block.of(RAW, b"five!")
    root = _parent((leaf, declared))

    with pytest.raises(BlockCorrupt, match="declares"):
        await read(root.cid, Source(leaf, root))


async def test_the_wrong_codec_is_found() -> None:
    leaf = Block.of(RAW, b"not a node")
    called_node = Block(Cid(1, DAG_PB, leaf.cid.digest), leaf.data)

    with pytest.raises(BlockCorrupt):
        await read(called_node.cid, Source(called_node))


async def test_a_tower_without_end_is_not_climbed() -> None:
    blocks = [Block.of(RAW, b"at the bottom")]
    for _ in range(MAX_DEPTH + 1):
        blocks.append(_parent((blocks[-1], 13)))
    source = Source(*blocks)

    assert await read(blocks[-2].cid, source) == b"at the bottom"
    with pytest.raises(BlockCorrupt, match="levels deep"):
        await read(blocks[-1].cid, source)


async def test_a_block_too_large_is_refused() -> None:
    large = Block.of(RAW, bytes(MAX_BLOCK + 1))

    with pytest.raises(BlockCorrupt, match="at most"):
        await FileReader.open(large.cid, Source(large).get)


async def test_a_small_tree_that_unfolds_to_a_huge_file_is_streamed_not_held() -> None:
    """Fifty nodes that stand for 2⁶⁰ bytes: the size is told at once, a range of it costs one path's fetches."""
    blocks = [Block.of(RAW, b"x" * 1024)]
    for level in range(50):
        blocks.append(_parent((blocks[-1], 1024 << level), (blocks[-1], 1024 << level)))
    source = Source(*blocks)

    file = await FileReader.open(blocks[-1].cid, source.get)

    assert file.size == 1024 << 50
    assert [piece async for piece in file.read(file.size // 2, file.size // 2 + 3)] == [b"xxx"]
    assert len(source.asked) == 1 + 50
