"""A service's projections by hand. `run_projections` begins a loop of its own, so these tests are not async."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cortex_core.chassis.projection_verbs import run_projections
from cortex_core.eventsourcing import NewEvent, Projector
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import FakeClock


class CannotBe(CortexError):
    code, kind = "names.cannot-be", Kind.UNPROCESSABLE


class Names:
    """A projection into nothing: what matters here is how far it comes."""

    name = "names"
    version = 1
    handles = ("named",)
    fault: Exception | None = None

    async def begin(self, transaction: Any, generation: int) -> None: ...

    async def apply(self, transaction: Any, generation: int, events: Any) -> None:
        if self.fault:
            raise self.fault

    async def drop(self, transaction: Any, generation: int) -> bool:
        return False


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/names.db"


def within(database_url: str, work: Callable[[SqlEventStore], Any]) -> Any:
    async def opened() -> Any:
        async with open_event_store(database_url) as store:
            return await work(store)

    return asyncio.run(opened())


def fill(database_url: str, streams: int = 3) -> None:
    async def work(store: SqlEventStore) -> None:
        for number in range(streams):
            await store.append(f"s{number}", [NewEvent("named", {})], expected_version=0)

    within(database_url, work)


def test_status_says_how_far_each_generation_is(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(database_url)
    names = Names()
    assert run_projections("tea", database_url, [names], ["status"]) == 0
    assert capsys.readouterr().out == "tea: names: never run\n"

    within(database_url, lambda store: Projector(store, names).step())
    run_projections("tea", database_url, [names], ["status"])

    assert capsys.readouterr().out == "tea: names generation 1: live, position 3 of 3, logic 1, 0 parked\n"


def test_rebuild_ends_when_the_new_generation_is_shown(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(database_url)

    assert run_projections("tea", database_url, [Names()], ["rebuild", "names"]) == 0
    assert run_projections("tea", database_url, [Names()], ["rebuild", "names"]) == 0
    capsys.readouterr()
    run_projections("tea", database_url, [Names()], ["status"])

    assert "names generation 3: live, position 3 of 3" in capsys.readouterr().out


def test_a_second_rebuild_is_refused_and_the_first_can_be_abandoned(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database_url)
    within(database_url, lambda store: Projector(store, Names()).rebuild())

    refused = run_projections("tea", database_url, [Names()], ["rebuild", "names"])
    told = capsys.readouterr().err
    abandoned = run_projections("tea", database_url, [Names()], ["abandon", "names"])

    assert (refused, abandoned) == (75, 0)
    assert told == "tea: generation 2 of names is being built; wait for it, or abandon it\n"
    assert capsys.readouterr().out == "tea: generation 2 of names is abandoned and cleared away\n"
    assert run_projections("tea", database_url, [Names()], ["abandon", "names"]) == 0
    assert capsys.readouterr().out == "tea: nothing of names is being built\n"


def test_a_rebuild_that_cannot_go_on_says_where(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(database_url, streams=101)  # one more than are set aside
    within(database_url, lambda store: Projector(store, Names()).step())
    broken = Names()
    broken.fault = CannotBe("never")

    assert run_projections("tea", database_url, [broken], ["rebuild", "names"]) == 70

    assert "generation 2 of names is stuck at position 101 (names.cannot-be)" in capsys.readouterr().err


def test_what_was_set_aside_is_listed(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(database_url, streams=1)
    broken = Names()
    broken.fault = CannotBe("never")
    assert run_projections("tea", database_url, [broken], ["rebuild", "names"]) == 0
    capsys.readouterr()

    run_projections("tea", database_url, [Names()], ["status"])

    assert capsys.readouterr().out.splitlines() == [
        "tea: names generation 2: live, position 1 of 1, logic 1, 1 parked",
        "tea:   public/s0 at 1: names.cannot-be: never",
    ]


@pytest.mark.parametrize("words", [[], ["rebuild"], ["rebuild", "cats"], ["dance", "names"], ["status", "names"]])
def test_words_it_does_not_know_are_one_line(
    database_url: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database_url, streams=0)

    assert run_projections("tea", database_url, [Names()], words) == 64
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_database_that_is_not_current_or_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in (f"sqlite+aiosqlite:///{tmp_path}/empty.db", "sqlite+aiosqlite:////proc/none/x.db", "mysql://nowhere"):
        assert run_projections("tea", url, [Names()], ["status"], clock=FakeClock()) == 69
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_rebuild_whose_generation_is_taken_away_ends(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(database_url)

    class Vanishing(Names):
        async def apply(self, transaction: Any, generation: int, events: Any) -> None:
            if generation == 2:
                await transaction.execute(text("DELETE FROM checkpoints WHERE generation = 2"))

    within(database_url, lambda store: Projector(store, Names()).step())

    assert run_projections("tea", database_url, [Vanishing()], ["rebuild", "names"]) == 75
    assert "abandoned meanwhile" in capsys.readouterr().err
