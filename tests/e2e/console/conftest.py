"""The console in a real browser: Chromium, by Playwright, on the running hub and with nothing else in reach."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 20_000  # ms: a machine that does other things, too

LISTEN = """
window.cortexViolations = [];
document.addEventListener("securitypolicyviolation",
  (event) => cortexViolations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
CHANGED = "net::ERR_NETWORK_CHANGED"  # an interface of this machine came or went: nothing of the page's
NETWORK = ("Failed to load resource", "WebSocket connection to")  # what the browser itself says of an outage

expect.set_options(timeout=PATIENCE)


class Console:
    """The page, what a person does with it, and what the browser had to complain of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.expects_outage = False
        context.add_init_script(LISTEN)
        context.route(lambda address: not address.startswith((url, "blob:", "data:")), self._refuse)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _refuse(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def _hear(self, message: ConsoleMessage) -> None:
        expected = message.text.endswith(CHANGED) or (self.expects_outage and message.text.startswith(NETWORK))
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)

    def open(self, view: str = "overview", *, live: bool = True) -> Page:
        self.page.goto(f"{self.url}/#/{view}")
        expect(self.page.locator(f"#view-{view}")).to_be_visible()
        if live:
            expect(self.page.locator("#live-state")).to_have_attribute("data-state", "up")
        return self.page

    def show(self, view: str) -> None:
        self.page.click(f"nav a[data-view={view}]")
        expect(self.page.locator(f"#view-{view}")).to_be_visible()

    def place(self, token: str = "tok_ok", customer: str = "cus_console") -> str:
        """By the form, which must be on show. The order's id."""
        self.page.fill("#order-customer", customer)
        self.page.select_option("#order-payment", token)
        self.page.click("#place-order")
        said = self.page.locator("#order-said[data-order]")
        expect(said).to_be_visible()
        return str(said.get_attribute("data-order"))

    def row(self, order_id: str) -> Any:
        return self.page.locator(f'#orders-body tr[data-order="{order_id}"]')

    def ends(self, order_id: str, status: str) -> Any:
        """The row, once it says so."""
        expect(self.row(order_id).locator(".status")).to_have_attribute("data-state", status, timeout=PATIENCE)
        return self.row(order_id)

    @property
    def violations(self) -> list[str]:
        return list(self.page.evaluate("window.cortexViolations"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "Chromium is needed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def hub(console_hub: "RealHub") -> "RealHub":
    return console_hub


@pytest.fixture
def console_type() -> type[Console]:
    """For a context of one's own."""
    return Console


@pytest.fixture
def viewport() -> dict[str, Any]:
    """What a test module may change: width, height, colours."""
    return {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light", "reduced_motion": "reduce"}


@pytest.fixture
def console(browser: Browser, hub: "RealHub", viewport: dict[str, Any]) -> Iterator[Console]:
    """A browser that has never been here. At the end nothing was blocked, complained of, or asked of anybody else."""
    context = browser.new_context(**viewport)
    try:
        console = Console(context, hub.url("gateway"))
        yield console
        assert console.violations == []
        assert console.complaints == []
        assert console.outside == []
    finally:
        context.close()
