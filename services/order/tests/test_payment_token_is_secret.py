"""The payment token is the one secret an order holds: whatever goes wrong, however much is logged, no line has it."""

import asyncio
import io
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.engine import make_url

from cortex_core.observability import configure_logging
from cortex_core.observability import logging as ours
from cortex_core.testing import eventually
from cortex_order.settings import Settings

CANARY = "tok_canary_51b2c7"
ORDER = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 1, "unitPrice": 1250}],
    "paymentToken": CANARY,
}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that this process logs with CORTEX_LOG_LEVEL=debug."""
    root, before = logging.getLogger(), dict(vars(ours._output))
    level, handlers = root.level, list(root.handlers)
    stream = io.StringIO()
    configure_logging(service="order", level="debug", stream=stream)
    yield stream
    configure_logging(service="order")
    root.handlers[:], root.level = handlers, level
    vars(ours._output).update(before)


def database_of(settings: Settings) -> Path:
    return Path(make_url(settings.database_url).database or "")


def break_settlements(settings: Settings) -> None:
    with closing(sqlite3.connect(database_of(settings), timeout=30.0)) as database:
        database.execute(
            "CREATE TRIGGER boom BEFORE INSERT ON settlements BEGIN SELECT RAISE(ABORT, 'disk trouble'); END"
        )
        database.commit()


async def test_no_line_has_it_when_an_order_is_placed_and_settled_at_level_debug(
    lines: io.StringIO, caplog: pytest.LogCaptureFixture, client: aiohttp.ClientSession, payments: Any
) -> None:
    async with client.post("/orders", json=ORDER) as answer:
        assert answer.status == 201
    await eventually(lambda: payments.charges)
    assert payments.charges[0][2] == CANARY

    logging.getLogger("cortex_core.events").debug("ours are heard at this level")
    assert "ours are heard at this level" in lines.getvalue()
    assert CANARY not in lines.getvalue() + caplog.text


async def test_no_line_and_no_answer_has_it_when_the_database_refuses_the_row(
    lines: io.StringIO, caplog: pytest.LogCaptureFixture, client: aiohttp.ClientSession, settings: Settings
) -> None:
    await asyncio.to_thread(break_settlements, settings)  # in a thread: the service that has its turn lives in this one

    async with client.post("/orders", json=ORDER) as answer:
        status, body = answer.status, await answer.text()

    assert status == 500
    assert "disk trouble" in lines.getvalue()
    assert CANARY not in lines.getvalue() + caplog.text + body
