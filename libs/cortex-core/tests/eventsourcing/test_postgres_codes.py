"""SQLSTATE by SQLSTATE: whose fault it is, and whether trying again can help."""

import pytest
from sqlalchemy.exc import DBAPIError

from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql.faults import translated


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
