"""A snapshot is what was saved, or it is passed over."""

import math
from typing import Any

import pytest

from cortex_core.eventsourcing import SnapshotTrouble, UnstorableSnapshot
from cortex_core.kernel.context import use_context
from cortex_core.testing.contracts.eventstore.terms import SpoilSnapshot, Store
from cortex_core.testing.fake_clock import FakeClock


class SnapshotsContract:
    """See the module."""

    async def test_a_snapshot_comes_back_as_it_was_saved(self, store: Store, clock: FakeClock) -> None:
        state = {"total": 2**70, "items": [1, 2.5, None, {"é 🦑": ""}]}

        await store.snapshots.save("a", 7, state, schema_version=2)

        found = await store.snapshots.newest("a", schema_version=2)
        assert found is not None
        assert (found.stream, found.version, found.schema_version) == ("a", 7, 2)
        assert (found.time, found.state) == (clock.now(), state)

    async def test_a_stream_without_a_snapshot_has_none(self, store: Store) -> None:
        await store.snapshots.save("a", 1, {}, schema_version=1)

        assert await store.snapshots.newest("b", schema_version=1) is None

    async def test_several_are_kept_and_the_newest_below_a_bound_is_found(self, store: Store) -> None:
        for version in (100, 5, 10):
            await store.snapshots.save("a", version, {"at": version}, schema_version=1)

        found = [await store.snapshots.newest("a", schema_version=1, at_or_below=n) for n in (None, 99, 10, 9, 4, 0)]

        assert [each and each.state["at"] for each in found] == [100, 10, 10, 5, None, None]

    async def test_one_of_another_schema_version_is_passed_over(self, store: Store) -> None:
        await store.snapshots.save("a", 5, {"at": 5}, schema_version=2)
        await store.snapshots.save("a", 10, {"at": 10}, schema_version=1)
        await store.snapshots.save("a", 15, {"at": 15}, schema_version=3)

        found = await store.snapshots.newest("a", schema_version=2)

        assert found is not None
        assert found.state == {"at": 5}

    async def test_one_saved_again_replaces_the_first(self, store: Store) -> None:
        await store.snapshots.save("a", 5, {"take": 1}, schema_version=1)
        await store.snapshots.save("a", 5, {"take": 2}, schema_version=2)

        found = await store.snapshots.newest("a", schema_version=2)

        assert found is not None
        assert found.state == {"take": 2}
        assert await store.snapshots.newest("a", schema_version=1) is None

    async def test_tenants_have_snapshots_of_their_own(self, store: Store) -> None:
        with use_context(tenant="acme"):
            await store.snapshots.save("a", 5, {"of": "acme"}, schema_version=1)

        assert await store.snapshots.newest("a", schema_version=1) is None
        assert await store.snapshots.prune("a", keep=0) == 0
        with use_context(tenant="acme"):
            assert await store.snapshots.newest("a", schema_version=1) is not None

    async def test_pruning_keeps_the_newest_of_one_stream(self, store: Store) -> None:
        for version in range(1, 6):
            await store.snapshots.save("a", version, {}, schema_version=version)
        await store.snapshots.save("b", 1, {}, schema_version=1)

        assert await store.snapshots.prune("a", keep=2) == 3
        assert await store.snapshots.prune("a", keep=2) == 0

        left = [version for version in range(1, 6) if await store.snapshots.newest("a", schema_version=version)]
        assert left == [4, 5]
        assert await store.snapshots.newest("b", schema_version=1) is not None
        assert await store.snapshots.prune("a", keep=0) == 2

    @pytest.mark.parametrize("content", [b"", b"{}", b'{"total":1}', b"0 {}", b"0" * 32 + b' {"total":1}'])
    async def test_a_damaged_one_is_told_and_the_one_before_it_found(
        self, store: Store, spoil_snapshot: SpoilSnapshot, content: bytes
    ) -> None:
        told: list[SnapshotTrouble] = []
        await store.snapshots.save("a", 5, {"at": 5}, schema_version=1)
        await store.snapshots.save("a", 10, {"at": 10}, schema_version=1)
        await spoil_snapshot("a", 10, content)

        found = await store.snapshots.newest("a", schema_version=1, on_trouble=told.append)

        assert found is not None
        assert found.state == {"at": 5}
        [trouble] = told
        assert (trouble.stage, trouble.tenant, trouble.stream, trouble.version) == ("read", "public", "a", 10)

    async def test_a_damaged_one_is_logged_where_nobody_listens(
        self, store: Store, spoil_snapshot: SpoilSnapshot, caplog: pytest.LogCaptureFixture
    ) -> None:
        await store.snapshots.save("a", 10, {"at": 10}, schema_version=1)
        await spoil_snapshot("a", 10, b"?")

        assert await store.snapshots.newest("a", schema_version=1) is None
        assert "snapshot at version 10 of a" in caplog.text

    @pytest.mark.parametrize(
        "state",
        [
            pytest.param({"x": math.inf}, id="not a number"),
            pytest.param({"x": "\ud800"}, id="lone surrogate"),
            pytest.param([], id="no object"),
            pytest.param({"x": "x" * 16 * 1024 * 1024}, id="too large"),
        ],
    )
    async def test_state_that_cannot_be_stored_is_refused(self, store: Store, state: Any) -> None:
        with pytest.raises(UnstorableSnapshot) as caught:
            await store.snapshots.save("a", 1, state, schema_version=1)

        assert caught.value.code == "event-store.unstorable-snapshot"
        assert await store.snapshots.newest("a", schema_version=1) is None

    async def test_there_is_no_snapshot_of_nothing(self, store: Store) -> None:
        with pytest.raises(ValueError, match="version"):
            await store.snapshots.save("a", 0, {}, schema_version=1)

    @pytest.mark.parametrize("stream", ["nul\x00", "\ud800", "x" * 513])
    async def test_a_stream_that_no_store_can_name_has_none(self, store: Store, stream: str) -> None:
        with pytest.raises(UnstorableSnapshot):
            await store.snapshots.save(stream, 1, {}, schema_version=1)

        assert await store.snapshots.newest(stream, schema_version=1) is None
        assert await store.snapshots.prune(stream, keep=0) == 0
