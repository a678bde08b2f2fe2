"""What every ledger must do, run over the one that is the definition and the one in the database."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from cortex_analytics.adapters.sql import SqlLedger
from cortex_analytics.domain import Created, Durations, Ended, Fact, Figures, ImplausibleDuration, OrderId, Outcome
from cortex_analytics.ports import Ledger
from cortex_analytics.wiring import MIGRATIONS
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store

A, B, C = (OrderId(f"ord_{letter}") for letter in "abc")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{tmp_path}/analytics.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(url, migrations=[MIGRATIONS]) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield request.getfixturevalue("memory_ledger")
        return
    sqlite = f"sqlite+aiosqlite:///{tmp_path}/analytics.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with open_event_store(url, migrations=[MIGRATIONS]) as opened:
        yield SqlLedger(opened)


async def test_nothing_is_known_at_first(ledger: Ledger) -> None:
    assert await ledger.figures("public") == Figures()
    assert await ledger.totals() == Figures()


async def test_an_order_is_active_from_creation_to_outcome(ledger: Ledger) -> None:
    await ledger.record("public", "e1", Created(A))
    await ledger.record("public", "e2", Created(B))
    assert await ledger.figures("public") == Figures(active=2, created=2)

    await ledger.record("public", "e3", Ended(A, Outcome.COMPLETED, 0.5))

    assert await ledger.figures("public") == Figures(active=1, created=2, completed=1, durations=Durations().plus(0.5))


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_each_outcome_has_its_own_total(ledger: Ledger, outcome: Outcome) -> None:
    await ledger.record("public", "e1", Created(A))
    await ledger.record("public", "e2", Ended(A, outcome))

    figures = await ledger.figures("public")
    assert (figures.active, figures.created) == (0, 1)
    assert {each: getattr(figures, each) for each in Outcome} == {each: int(each is outcome) for each in Outcome}


async def test_an_outcome_that_overtakes_the_creation_makes_nobody_inactive(ledger: Ledger) -> None:
    await ledger.record("public", "e1", Created(B))
    await ledger.record("public", "e2", Ended(A, Outcome.FAILED))
    assert await ledger.figures("public") == Figures(active=1, created=1, failed=1)

    await ledger.record("public", "e3", Created(A))

    assert await ledger.figures("public") == Figures(active=1, created=2, failed=1)


async def test_an_event_counts_once(ledger: Ledger) -> None:
    assert await ledger.record("public", "e1", Created(A))
    assert not await ledger.record("public", "e1", Created(A))
    assert await ledger.record("public", "e2", Ended(A, Outcome.COMPLETED, 2.0))
    assert not await ledger.record("public", "e2", Ended(A, Outcome.COMPLETED, 2.0))
    assert not await ledger.record("public", "e1", Created(A))  # long after the order was done with

    figures = await ledger.figures("public")
    assert (figures.active, figures.created, figures.completed, figures.durations.count) == (0, 1, 1, 1)


async def test_tenants_do_not_see_each_other_and_totals_see_all(ledger: Ledger) -> None:
    await ledger.record("acme", "e1", Created(A))
    await ledger.record("umbrella", "e2", Created(A))
    await ledger.record("umbrella", "e3", Ended(A, Outcome.COMPLETED, 0.1))

    assert await ledger.figures("acme") == Figures(active=1, created=1)
    assert await ledger.figures("public") == Figures()
    assert await ledger.totals() == Figures(active=1, created=2, completed=1, durations=Durations().plus(0.1))


async def test_a_duration_that_cannot_be_changes_nothing(ledger: Ledger) -> None:
    with pytest.raises(ImplausibleDuration):
        await ledger.record("public", "e1", Ended(A, Outcome.COMPLETED, -1.0))

    assert await ledger.figures("public") == Figures()


FACTS = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([None, *Outcome]),
        st.floats(min_value=0, max_value=20),
    ),
    max_size=5,
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, Fact]], list[tuple[str, Fact]]]:
    """The events of some orders, each once; and what a consumer may get: any order, any of them again."""
    once: list[tuple[str, Fact]] = []
    for number, (created, outcome, seconds) in enumerate(draw(FACTS)):
        order_id = OrderId(f"ord_{number}")
        if created:
            once.append((f"created-{number}", Created(order_id)))
        if outcome is not None:
            measured = seconds if outcome is Outcome.COMPLETED else None
            once.append((f"ended-{number}", Ended(order_id, outcome, measured)))
    again = draw(st.lists(st.sampled_from(once), max_size=6)) if once else []
    return once, draw(st.permutations(once + again))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
async def test_any_order_with_any_duplicates_gives_the_same_figures(
    store: SqlEventStore, memory_ledger: Ledger, history: tuple[list[tuple[str, Fact]], list[tuple[str, Fact]]]
) -> None:
    once, delivered = history
    ledger, tenant = SqlLedger(store), uuid.uuid4().hex  # one database for all examples, a tenant for each
    for event_id, fact in once:
        await memory_ledger.record(tenant, event_id, fact)

    for event_id, fact in delivered:
        await ledger.record(tenant, event_id, fact)

    assert await ledger.figures(tenant) == await memory_ledger.figures(tenant)


async def test_control_without_the_inbox_duplicates_count_twice(store: SqlEventStore) -> None:
    class Forgetful:
        async def once(self, *_: object) -> bool:
            return True

    class WithoutInbox:
        inbox = Forgetful()

        def transaction(self) -> AbstractAsyncContextManager[Any]:
            return store.transaction()

        def reading(self) -> AbstractAsyncContextManager[Any]:
            return store.reading()

    without: Any = WithoutInbox()
    ledger = SqlLedger(without)
    for _ in range(2):
        await ledger.record("public", "e1", Created(A))
        await ledger.record("public", "e2", Ended(A, Outcome.COMPLETED, 1.0))

    assert (await ledger.figures("public")).created == 2


async def test_an_effect_that_fails_leaves_no_mark_in_the_inbox(store: SqlEventStore) -> None:
    ledger, nothing = SqlLedger(store), cast("OrderId", None)
    with pytest.raises(IntegrityError):  # the mark is made first, then a row that cannot be
        await ledger.record("public", "e1", Created(nothing))

    assert await ledger.record("public", "e1", Created(A))
    assert await ledger.figures("public") == Figures(active=1, created=1)


async def test_an_order_that_is_done_with_leaves_no_row(store: SqlEventStore) -> None:
    ledger = SqlLedger(store)
    for number in range(20):
        await ledger.record("public", f"c{number}", Created(OrderId(f"ord_{number}")))
        await ledger.record("public", f"e{number}", Ended(OrderId(f"ord_{number}"), Outcome.FAILED))

    async with store.reading() as connection:
        rows = (await connection.exec_driver_sql("SELECT count(*) FROM open_orders")).scalar_one()
    assert rows == 0
