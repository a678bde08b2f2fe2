"""A list that is behind says so."""

from types import SimpleNamespace
from typing import Any

import pytest

from cortex_core.eventsourcing import Projector
from cortex_core.testing import FakeClock


async def test_the_service_tells_a_list_that_is_behind_from_one_that_is_not(
    client: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "customerId": "cus_1",
        "currency": "EUR",
        "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
        "paymentToken": "tok_ok",
    }
    async with client.post("/orders", json=body) as placed_one:
        order_id = (await placed_one.json())["orderId"]
    async with client.get("/orders") as fresh:
        listed = [each["orderId"] for each in (await fresh.json())["orders"]]
    assert (listed, fresh.headers.get("X-Cortex-Behind")) == ([order_id], None)

    async def never(_self: Any, *_: Any, **__: Any) -> bool:
        return False

    async def behind(_self: Any) -> Any:
        return SimpleNamespace(lag=7)

    monkeypatch.setattr(Projector, "caught_up", never)
    monkeypatch.setattr(Projector, "status", behind)
    async with client.get("/orders") as stale:
        assert (stale.status, stale.headers["X-Cortex-Behind"]) == (200, "7")
