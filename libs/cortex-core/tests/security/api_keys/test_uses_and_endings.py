"""Work that goes on beside the requests: last uses written, ended keys asked for."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import pytest

from cortex_core.security.api_keys import Ended, Endings, KeysUnavailable, MemoryApiKeys, UseNotes
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.contracts.apikeys import NOW, added


class AwayKeys(MemoryApiKeys):
    """A store that can be away, and counts what it is asked."""

    away = False
    batches: list[dict[str, datetime]]

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.batches = []

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        self._answer()
        self.batches.append(dict(uses))
        await super().note_uses(uses)

    async def ended_since(self, at: int) -> Ended:
        self._answer()
        return await super().ended_since(at)

    def _answer(self) -> None:
        if self.away:
            raise KeysUnavailable("away")


@pytest.fixture
def store(clock: FakeClock) -> AwayKeys:
    return AwayKeys(clock)


class TestUses:
    async def test_all_of_a_minute_are_one_batch(self, store: AwayKeys, clock: FakeClock) -> None:
        uses = UseNotes(store, every=60, clock=clock)
        one, other = await added(store), await added(store)
        working = asyncio.create_task(uses.run())
        await eventually(lambda: clock.sleepers)
        first_use = clock.now()
        uses.note(one.id)
        uses.note(other.id)
        await clock.advance(5)
        latest = clock.now()
        uses.note(one.id)
        assert store.batches == []

        await clock.advance(55)

        assert store.batches == [{one.id: latest, other.id: first_use}]
        await clock.advance(60)
        assert len(store.batches) == 1, "who was not used costs nothing"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_a_batch_that_cannot_be_written_is_told_and_given_up(self, store: AwayKeys, clock: FakeClock) -> None:
        errors: list[KeysUnavailable] = []
        uses = UseNotes(store, clock=clock, on_error=errors.append)
        key = await added(store)
        store.away = True
        uses.note(key.id)
        await uses.write()
        store.away = False

        uses.note(key.id)
        await uses.write()

        assert len(errors) == 1
        assert (await store.get("acme", key.id)).last_used_at == clock.now()

    async def test_a_crowd_of_keys_bounds_itself(self, store: AwayKeys, clock: FakeClock) -> None:
        uses = UseNotes(store, clock=clock)
        for n in range(10_500):
            uses.note(f"key_{n:032x}")

        await uses.write()

        assert len(store.batches[0]) == 10_000


class TestEndings:
    async def test_what_ends_is_forgotten_within_its_time(self, store: AwayKeys, clock: FakeClock) -> None:
        forgotten: list[str] = []
        before, after = await added(store), await added(store)
        await store.revoke("acme", before.id, NOW, "root")
        await clock.advance(1)
        working = asyncio.create_task(Endings(store, forgotten.append, every=5, clock=clock).run())
        await eventually(lambda: clock.sleepers)
        await clock.advance(1)
        await store.revoke("acme", after.id, NOW, "root")

        await clock.advance(4)

        assert forgotten == [after.id], "what had ended before is in nobody's memory"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_what_ends_while_the_store_is_away_is_heard_of_afterwards(
        self, store: AwayKeys, clock: FakeClock
    ) -> None:
        forgotten: list[str] = []
        endings = Endings(store, forgotten.append, clock=clock)
        key = await added(store)
        await endings.ask()
        await clock.advance(1)
        await store.revoke("acme", key.id, NOW, "root")
        store.away = True
        await endings.ask()
        await clock.advance(30)
        store.away = False

        await endings.ask()

        assert forgotten == [key.id]
