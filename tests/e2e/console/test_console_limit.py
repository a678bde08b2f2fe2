"""The console on a hub whose limit its visitor has used up: real refusals, real seconds."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
LIMIT = 40


@pytest.fixture(scope="module")
def hub(make_hub: "Callable[..., AbstractContextManager[RealHub]]") -> "Iterator[RealHub]":
    with make_hub(GATEWAY_RATE_LIMIT_PER_MINUTE=str(LIMIT)) as hub:
        hub.up()
        yield hub


def test_the_page_loads_and_says_what_keeps_it_from_going_on(console: Any, hub: "RealHub") -> None:
    while hub.ask("gateway", "/api/orders")[0] != 429:
        pass
    console.expects_outage = True

    page = console.open(live=False)

    told = page.locator("#banner-text")
    expect(told).to_contain_text(re.compile(rf"limit of {LIMIT} requests a minute is reached. Try again in \d+ s"))
    expect(page.locator("#quota")).to_have_text(f"0 of {LIMIT} requests left, the page waits")
    expect(page.locator("#hub-state")).to_have_text("All services up")  # health is not counted
    console.show("orders")
    page.click("#place-order")
    expect(page.locator("#order-error")).to_have_text(
        re.compile(rf"more than {LIMIT} in 60 s.* \(rate-limit\.exceeded\); try again in \d+ s")
    )
    page.reload()
    expect(told).to_contain_text("Try again in")
