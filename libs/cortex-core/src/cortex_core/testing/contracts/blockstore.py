"""What every block store must do. An adapter's test subclasses `BlockStoreContract`, gives `store` and `spoil`."""

import asyncio
from collections.abc import Callable

import pytest

from cortex_core.ipfs import DAG_PB, MAX_BLOCK, RAW, Block, BlockCorrupt, BlockNotFound, BlockStore, Cid

Spoil = Callable[[Cid, bytes], None]
"""Puts other bytes in the place of a stored block's, behind the store's back."""


class BlockStoreContract:
    """See the module."""

    async def test_a_stored_block_is_got_back(self, store: BlockStore) -> None:
        blocks = [Block.of(RAW, b"one"), Block.of(DAG_PB, b"two"), Block.of(RAW, bytes(MAX_BLOCK))]

        await store.put_many(blocks)

        assert [await store.get(block.cid) for block in blocks] == [block.data for block in blocks]

    async def test_the_empty_block_is_a_block(self, store: BlockStore) -> None:
        empty = Block.of(RAW, b"")

        await store.put_many([empty])

        assert await store.get(empty.cid) == b""

    async def test_a_block_never_stored_is_not_found(self, store: BlockStore) -> None:
        with pytest.raises(BlockNotFound):
            await store.get(Cid.of(RAW, b"never stored"))

    async def test_a_block_is_known_by_its_hash_under_every_cid(self, store: BlockStore) -> None:
        block = Block.of(DAG_PB, b"many names")

        await store.put_many([block])

        for cid in (Cid(0, DAG_PB, block.cid.digest), Cid(1, RAW, block.cid.digest)):
            assert await store.get(cid) == b"many names"

    async def test_putting_again_changes_nothing(self, store: BlockStore) -> None:
        block = Block.of(RAW, b"again")

        await store.put_many([block, block])
        await store.put_many([block])
        await store.put_many([])

        assert await store.get(block.cid) == b"again"

    async def test_writers_of_the_same_blocks_do_not_disturb_each_other(self, store: BlockStore) -> None:
        blocks = [Block.of(RAW, bytes([number]) * 1000) for number in range(20)]

        await asyncio.gather(*(store.put_many(blocks) for _ in range(8)))

        assert [await store.get(block.cid) for block in blocks] == [block.data for block in blocks]

    async def test_bytes_that_are_not_their_cid_are_refused_and_the_batch_with_them(self, store: BlockStore) -> None:
        honest, lying = Block.of(RAW, b"honest"), Block(Cid.of(RAW, b"said"), b"done")

        with pytest.raises(BlockCorrupt):
            await store.put_many([honest, lying])

        for block in (honest, lying):
            with pytest.raises(BlockNotFound):
                await store.get(block.cid)

    async def test_a_block_too_large_for_others_is_refused(self, store: BlockStore) -> None:
        with pytest.raises(BlockCorrupt, match="at most"):
            await store.put_many([Block.of(RAW, bytes(MAX_BLOCK + 1))])

    @pytest.mark.parametrize("instead", [b"", b"whol", b"whole, and more", b"w\x00ole"])
    async def test_a_block_that_rotted_is_not_given_out_and_is_repaired_by_putting_it_again(
        self, store: BlockStore, spoil: Spoil, instead: bytes
    ) -> None:
        block = Block.of(RAW, b"whole")
        await store.put_many([block])
        spoil(block.cid, instead)

        with pytest.raises(BlockCorrupt):
            await store.get(block.cid)

        await store.put_many([block])
        assert await store.get(block.cid) == b"whole"

    async def test_a_store_at_work_passes_its_check(self, store: BlockStore) -> None:
        await store.check()
