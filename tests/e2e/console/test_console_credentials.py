"""The console as somebody: real tokens, checked by the real hub, which takes nobody without one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(180)]
READING = "orders:read,analytics:read,files:read,notifications:read"


@pytest.fixture(scope="module")
def closed_hub(make_hub: Any) -> Iterator["RealHub"]:
    with make_hub(CORTEX_ANONYMOUS="false") as hub:
        hub.up("--restart")
        yield hub


@pytest.fixture
def hub(closed_hub: "RealHub") -> "RealHub":
    return closed_hub


def token(hub: "RealHub", *words: str) -> str:
    result = hub.cortex("token", "--sub", "ada", *words)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def give(console: Any, credential: str) -> None:
    console.page.click("#open-credentials")
    console.page.fill("#credential", credential)
    console.page.click("#credential-use")


def test_nobody_is_asked_for_a_token_and_then_at_home(console: Any, hub: "RealHub") -> None:
    console.expects_outage = True
    page = console.open("orders", live=False)
    expect(page.locator("#banner-text")).to_contain_text("who is asking")

    give(console, token(hub, "--role", "operator"))

    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#live-state")).to_have_attribute("data-state", "up")  # by the socket's subprotocol
    console.ends(console.place("tok_ok"), "completed")


def test_a_reader_is_told_which_scope_is_missing(console: Any, hub: "RealHub") -> None:
    console.expects_outage = True
    page = console.open("orders", live=False)
    give(console, token(hub, "--scope", READING))
    expect(page.locator("#live-state")).to_have_attribute("data-state", "up")

    page.click("#place-order")

    expect(page.locator("#banner-text")).to_contain_text("orders:write")
    expect(page.locator("#order-error")).to_contain_text("auth.insufficient-scope")


def test_a_forged_token_is_refused_in_words(console: Any, hub: "RealHub") -> None:
    console.expects_outage = True
    page = console.open("orders", live=False)
    head, claims, signature = token(hub, "--role", "admin").split(".")

    give(console, f"{head}.{claims}.{signature[::-1]}")

    expect(page.locator("#banner-text")).to_contain_text("The credential is not accepted")


def test_an_api_key_works_until_it_is_revoked(console: Any, hub: "RealHub") -> None:
    made = hub.cortex("keys", "create", "console", "--scope", "orders:read,orders:write,notifications:read")
    assert made.returncode == 0, made.stderr
    console.expects_outage = True
    page = console.open("orders", live=False)
    give(console, made.stdout.strip())
    console.ends(console.place("tok_ok"), "completed")
    expect(page.locator("#who")).to_have_text("API key")

    listed = hub.cortex("keys", "list", "--json").stdout
    key_id = next(part for part in listed.replace('"', " ").split() if part.startswith("key_"))
    assert hub.cortex("keys", "revoke", key_id).returncode == 0

    def refused() -> bool:
        page.click("#place-order")
        return bool(page.locator("#banner").is_visible())

    hub.eventually(refused)  # within two seconds, everywhere
    expect(page.locator("#banner-text")).to_contain_text("The credential is not accepted")
