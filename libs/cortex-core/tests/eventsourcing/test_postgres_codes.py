"""SQLSTATE by SQLSTATE: whose fault it is, whether trying again can help, and what is said of it."""

import asyncio
import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from cortex_core.eventsourcing import EventStoreUnavailable, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.testing import PostgresServer


class _Said(Exception):
    """What SQLAlchemy's asyncpg errors are to `faults`."""

    def __init__(self, state: str | None) -> None:
        super().__init__("it said so")
        self.sqlstate = state


MEANINGS = {
    "08000": True, "08003": True, "08006": True, "25P03": True, "25006": True, "40001": True, "40P01": True,
    "53000": True, "53100": True, "53200": True, "53300": True, "55P03": True, "57014": True, "57P01": True,
    "57P02": True, "57P03": True, "57P05": True, "58000": True, "58030": True,
    "28000": False, "28P01": False, "3D000": False, "42501": False, "XX001": False, "XX002": False,
    "22P02": None, "23502": None, "23505": None, "25P02": None, "42601": None, "42P01": None, "55000": None,
    "54000": None, "XX000": None, "": None, None: None,
}  # fmt: skip


@pytest.mark.parametrize(("state", "retryable"), MEANINGS.items())
def test_what_each_code_means(state: str | None, retryable: bool | None) -> None:
    """True and False: unavailable, and whether trying again can help. None: the statement's own fault."""
    error = DBAPIError("SELECT 1", None, _Said(state))

    with pytest.raises(Exception) as caught, translated():
        raise error

    if retryable is None:
        assert caught.value is error
        assert error.__cause__ is not error, "whoever follows the causes would never come to an end"
    else:
        assert isinstance(caught.value, EventStoreUnavailable)
        assert caught.value.retryable is retryable
        assert caught.value.__cause__ is error


async def test_of_two_in_each_others_way_one_is_told_to_come_back(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'")
    both = asyncio.Barrier(2)

    async def crossing(store: SqlEventStore, first: str, second: str) -> None:
        async with store.transaction() as connection:
            await connection.execute(text(f"LOCK TABLE {first}"))
            await both.wait()
            await connection.execute(text(f"LOCK TABLE {second}"))

    async with open_event_store(postgres_url) as store:
        outcomes = await asyncio.gather(
            crossing(store, "inbox", "outbox"), crossing(store, "outbox", "inbox"), return_exceptions=True
        )

    [error] = [each for each in outcomes if each is not None]
    assert isinstance(error, EventStoreUnavailable)
    assert "40P01" in error.message and error.retryable


async def test_a_wrong_statement_stays_what_it_is(postgres_url: str) -> None:
    async with open_event_store(postgres_url) as store:
        with pytest.raises(ProgrammingError, match="nowhere"):
            async with store.transaction() as connection:
                await connection.execute(text("SELECT * FROM nowhere"))


async def test_an_error_does_not_show_what_was_to_be_written(postgres_url: str) -> None:
    """PostgreSQL quotes the row that it refuses."""
    secret = "-".join(("canary", "77"))
    async with open_event_store(postgres_url) as store:
        async with store.transaction() as connection:
            await connection.execute(text("ALTER TABLE events ADD CHECK (type <> 'refused')"))

        with pytest.raises(IntegrityError) as caught:
            await store.append("a", [NewEvent("refused", {"note": secret})], expected_version=0)

    shown = "".join(traceback.format_exception(caught.value))
    assert "violates check constraint" in shown
    assert secret not in shown
