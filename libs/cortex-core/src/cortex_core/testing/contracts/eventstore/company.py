"""Appends that come at once may share what they cost, and nothing else: each stands or falls by itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.eventsourcing import DuplicateId, NewEvent, StaleVersion
from cortex_core.kernel.context import current, use_context
from cortex_core.testing.contracts.eventstore.terms import Refused, Store, ids_pending, message, placed

_FLAVOUR: ContextVar[str] = ContextVar("flavour", default="")


async def refuse(_: Any) -> None:
    raise Refused


class CompanyContract:
    """See the module."""

    async def test_among_many_only_the_stale_one_is_refused(self, store: Store) -> None:
        await store.append("s3", [placed()], expected_version=0)

        outcomes = await asyncio.gather(
            *(store.append(f"s{n}", [placed(n)], expected_version=0, messages=[message(f"m{n}")]) for n in range(8)),
            return_exceptions=True,
        )

        assert [type(each) for each in outcomes] == [int] * 3 + [StaleVersion] + [int] * 4
        assert sorted(await ids_pending(store)) == [f"m{n}" for n in range(8) if n != 3]

    async def test_among_many_only_the_one_whose_also_raises_is_undone(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            *(
                store.append(
                    f"s{n}",
                    [placed(n)],
                    expected_version=0,
                    messages=[message(f"m{n}")],
                    also=refuse if n % 3 == 1 else None,
                )
                for n in range(8)
            ),
            return_exceptions=True,
        )

        refused = {1, 4, 7}
        assert {n for n, each in enumerate(outcomes) if isinstance(each, Refused)} == refused
        assert {each.stream for each in await store.read_all()} == {f"s{n}" for n in range(8) if n not in refused}
        assert set(await ids_pending(store)) == {f"m{n}" for n in range(8) if n not in refused}

    async def test_among_many_only_the_one_whose_id_is_taken_is_refused(self, store: Store) -> None:
        event, sent = placed(), message("m")
        await store.append("first", [event], expected_version=0, messages=[sent])

        outcomes = await asyncio.gather(
            store.append("a", [placed()], expected_version=0),
            store.append("b", [event], expected_version=0),
            store.append("c", [placed()], expected_version=0, messages=[message("n"), sent]),
            store.append("d", [placed()], expected_version=0, messages=[message("n")]),
            return_exceptions=True,
        )

        assert [type(each) for each in outcomes] == [int, DuplicateId, DuplicateId, int]
        assert {each.stream for each in await store.read_all()} == {"first", "a", "d"}
        assert sorted(await ids_pending(store)) == ["m", "n"]

    async def test_of_two_with_one_id_the_first_has_it(self, store: Store) -> None:
        event = placed()

        outcomes = await asyncio.gather(
            store.append("other", [placed()], expected_version=0),  # so that the two meet in the queue
            store.append("a", [event], expected_version=0),
            store.append("b", [event], expected_version=0),
            return_exceptions=True,
        )

        assert [type(each) for each in outcomes] == [int, int, DuplicateId]

    async def test_the_second_may_build_on_the_first_before_that_is_told(self, store: Store) -> None:
        versions = await asyncio.gather(
            *(store.append("a", [placed(n), placed(n)], expected_version=2 * n) for n in range(6))
        )

        assert versions == [2, 4, 6, 8, 10, 12]
        assert [each.data["number"] for each in await store.read("a")] == [n for n in range(6) for _ in range(2)]

    async def test_whoever_builds_on_what_was_undone_is_stale(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            store.append("other", [placed()], expected_version=0),
            store.append("a", [placed()], expected_version=0, also=refuse),
            store.append("a", [placed()], expected_version=1),
            store.append("a", [placed(7)], expected_version=0),
            return_exceptions=True,
        )

        assert [type(each) for each in outcomes] == [int, Refused, StaleVersion, int]
        assert [each.data["number"] for each in await store.read("a")] == [7]

    async def test_a_watcher_that_raises_makes_no_commit_look_like_none(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[str] = []

        def fails() -> None:
            raise ZeroDivisionError

        unwatch = [store.watch(fails), store.outbox.watch(fails)]
        unwatch += [store.watch(lambda: heard.append("events")), store.outbox.watch(lambda: heard.append("messages"))]
        outcomes = await asyncio.gather(
            *(store.append(f"s{n}", [placed()], expected_version=0, messages=[message(f"m{n}")]) for n in range(4)),
            return_exceptions=True,
        )
        for each in unwatch:
            each()

        assert outcomes == [1] * 4
        assert [len(await store.read(f"s{n}")) for n in range(4)] == [1] * 4
        assert set(heard) == {"events", "messages"}, "the others hear of it all the same"
        assert "a watcher failed" in caplog.text

    async def test_also_runs_in_its_callers_context(self, store: Store) -> None:
        seen: dict[str, tuple[str, str]] = {}

        async def append(name: str) -> None:
            async def also(_: Any) -> None:
                await asyncio.sleep(0)
                seen[name] = (current().tenant, _FLAVOUR.get())

            _FLAVOUR.set(f"{name}'s own")
            with use_context(tenant=name):
                await store.append("a", [placed()], expected_version=0, also=also)

        await asyncio.gather(*(append(name) for name in ("acme", "globex", "initech")))

        assert seen == {name: (name, f"{name}'s own") for name in ("acme", "globex", "initech")}
        assert {each.tenant for each in await store.read_all()} == set(seen)

    async def test_also_finds_its_own_events_and_none_that_come_later(self, store: Store) -> None:
        """Seen through the stream's version: an `also` runs when its own append is the last of its stream."""
        order: list[int] = []

        def noting(number: int) -> Callable[[Any], Awaitable[None]]:
            async def also(_: Any) -> None:
                await asyncio.sleep(0)
                order.append(number)

            return also

        await asyncio.gather(*(store.append("a", [placed()], expected_version=n, also=noting(n)) for n in range(5)))

        assert order == list(range(5))

    async def test_an_append_within_its_own_transaction_is_refused_and_not_waited_for(self, store: Store) -> None:
        async def also(_: Any) -> None:
            await store.append("b", [placed()], expected_version=0)

        async def nested(_: Any) -> None:
            async with store.transaction():
                pass

        for wrong in (also, nested):
            with pytest.raises(RuntimeError, match="would wait for itself"):
                async with asyncio.timeout(5):
                    await store.append("a", [placed()], expected_version=0, also=wrong)
        async with store.transaction(), asyncio.timeout(5):
            with pytest.raises(RuntimeError, match="would wait for itself"):
                await store.append("a", [placed()], expected_version=0)

        assert await store.append("a", [placed()], expected_version=0) == 1

    @pytest.mark.parametrize("seed", range(6))
    async def test_whatever_comes_at_once_versions_are_dense_and_outcomes_true(self, store: Store, seed: int) -> None:
        """Stale ones, failing ones, callers who leave: what was acknowledged is there, what was refused is not."""
        throng = Throng(store, random.Random(seed))  # noqa: S311 - a seed makes a failure come again

        await asyncio.gather(*(throng.caller(number) for number in range(24)))
        await store.append("last", [placed()], expected_version=0)  # behind all that callers have left to itself

        read = [each for each in await store.read_all(limit=10_000) if each.stream != "last"]
        stored = {each.id for each in read}
        assert throng.acknowledged <= stored
        assert not throng.refused & stored
        assert stored <= throng.acknowledged | throng.unknown
        for stream in {each.stream for each in read}:
            versions = [each.version for each in read if each.stream == stream]
            assert versions == list(range(1, len(versions) + 1))
        sent = set(await ids_pending(store))
        assert sent == {f"m-{each}" for each in stored}
        assert throng.kinds >= {"acknowledged", "stale", "refused", "left"}, "not everything came to pass"


@dataclass(slots=True)
class Throng:
    """Many callers on few streams, each of whom remembers what he was told."""

    store: Store
    rng: random.Random
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)

    async def caller(self, number: int) -> None:
        for turn in range(12):
            event = NewEvent("ticked", {"number": number, "turn": turn})
            stream = f"s{self.rng.randrange(5)}"
            version = max(0, len(await self.store.read(stream)) - (self.rng.random() < 0.2))
            also = self.rng.choice([None, None, self._slow, refuse])
            appending = asyncio.ensure_future(
                self.store.append(
                    stream, [event], expected_version=version, messages=[message(f"m-{event.id}")], also=also
                )
            )
            if self.rng.random() < 0.2:
                for _ in range(self.rng.randrange(12)):
                    await asyncio.sleep(0)
                appending.cancel()
            await self._remember(appending, event.id)

    async def _slow(self, transaction: Any) -> None:
        await asyncio.sleep(0)
        await self.store.inbox.once(transaction, "throng", str(self.rng.random()))

    async def _remember(self, appending: "asyncio.Future[int]", event_id: str) -> None:
        try:
            await appending
        except StaleVersion:
            self.refused.add(event_id)
            self.kinds.add("stale")
        except Refused:
            self.refused.add(event_id)
            self.kinds.add("refused")
        except asyncio.CancelledError:
            self.unknown.add(event_id)
            self.kinds.add("left")
        else:
            self.acknowledged.add(event_id)
            self.kinds.add("acknowledged")
