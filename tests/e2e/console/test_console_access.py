"""For everybody: by keyboard, in light and dark, on a telephone, by screen reader, without motion."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
VIEWS = ("overview", "orders", "events", "files", "images")
REACHED = {
    "overview": "#/events",
    "orders": "place-order",
    "events": "pause-feed",
    "files": "upload-file",
    "images": "image-operation",
}
INSPECTION = (Path(__file__).parent / "inspection.js").read_text()


def look(width: int, colours: str, **more: Any) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 800}, "color_scheme": colours, "reduced_motion": "reduce", **more}


def fill(console: Any) -> None:
    """Every section with something in it, of every kind."""
    page = console.open("orders")
    console.ends(console.place("tok_declined"), "failed")
    console.row(console.place("tok_timeout", "c" * 64)).get_by_role("button", name="Cancel").click()
    console.place("tok_ok")
    page.locator("#orders-body button.link").first.click()
    expect(page.locator("#detail-timeline li").first).to_be_visible()
    page.fill("[name=quantity]", "0")
    page.click("#place-order")
    console.show("files")
    page.set_input_files("#upload-file", {"name": "n" * 80, "mimeType": "text/plain", "buffer": b"hello"})
    page.click("#upload-start")
    expect(page.locator("#upload-cid")).to_be_visible()
    console.show("images")
    page.click("#image-sample")
    page.click("#image-start")
    expect(page.locator("#image-after")).to_be_visible()


class TestEveryView:
    @pytest.fixture(
        params=[(1280, "light"), (1280, "dark"), (768, "light"), (360, "light"), (360, "dark"), (320, "light")], ids=str
    )
    def viewport(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return look(*request.param)

    def test_passes_the_inspection_with_something_in_it(self, console: Any) -> None:
        fill(console)

        for view in VIEWS:
            console.show(view)
            assert console.page.evaluate(f"({INSPECTION})()") == [], view
        console.page.click("#open-credentials")
        assert console.page.evaluate(f"({INSPECTION})()") == []


class TestTrouble:
    @pytest.fixture(params=[(1280, "dark"), (360, "light"), (360, "dark")], ids=str)
    def viewport(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return look(*request.param)

    def test_passes_the_inspection_in_many_words(self, console: Any) -> None:
        reason = "the payment service did not answer in time after three attempts"
        placed = {"customerId": "c" * 64, "total": 123450, "currency": "EUR", "version": 2, "reason": reason}
        states = ("pending", "processing", "completed", "failed", "cancelled")
        orders = [{**placed, "orderId": f"ord_1234567{n}", "status": each} for n, each in enumerate(states)]
        away = {"status": "down", "error": "ConnectError: all connection attempts to 10.0.0.1:3001 failed within 2 s"}
        services = ("order", "notification", "analytics", "storage", "compute")
        told = {"status": "down", "checks": dict.fromkeys(services, away)}
        console.context.route("**/api/**", lambda route: route.fulfill(status=503, body="{}"))
        console.context.route("**/api/orders?*", lambda route: route.fulfill(json={"orders": orders}))
        console.context.route("**/health", lambda route: route.fulfill(status=503, json=told))
        console.expects_outage = True
        page = console.open("orders")
        expect(page.locator("#hub-state")).to_contain_text("notification, analytics, storage, compute")
        page.locator("#orders-body button.small").first.click()
        expect(page.locator("#orders-error")).not_to_be_empty()

        for view in VIEWS:
            console.show(view)
            assert page.evaluate(f"({INSPECTION})()") == [], view
        console.show("orders")
        frame = page.locator(".table-frame").evaluate("frame => [frame.scrollWidth, frame.clientWidth]")
        assert frame[0] == frame[1]  # nothing of an order is out of sight


def test_the_inspection_finds_what_it_looks_for(console: Any) -> None:
    page = console.open()

    page.evaluate(
        """() => {
            const make = (tag, parent, fields, style = {}) => Object.assign(parent.appendChild(Object.assign(
                document.createElement(tag), fields)).style, style);
            const main = document.querySelector("main");
            make("p", main, { textContent: "too faint" }, { color: "#999", background: "#fff" });
            make("button", main, {});
            make("input", main, { id: "feed" });
            make("div", main, { textContent: "wide" }, { width: "3000px" });
            make("h1", main, { textContent: "another" });
        }"""
    )

    found = "\n".join(page.evaluate(f"({INSPECTION})()"))
    for fault in ("contrast 2.8", "no name: button", "no name: input", "id twice: feed", "overflow by", "h1: "):
        assert fault in found


class TestWithoutAMouse:
    def test_each_thing_that_takes_focus_shows_it(self, console: Any) -> None:
        page = console.open()
        for view, wanted in REACHED.items():
            console.show(view)
            page.keyboard.press("Tab")
            seen = set()
            for _ in range(60):
                at = self._focused(page)
                if at is not None:
                    assert at["visible"], at
                    seen.add(at["key"])
                page.keyboard.press("Tab")
            assert wanted in seen, (view, seen)

    @staticmethod
    def _focused(page: Page) -> Any:
        return page.evaluate(
            """() => {
                const element = document.activeElement;
                if (element === document.body) return null;
                const style = getComputedStyle(element), box = element.getBoundingClientRect();
                const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
                return { key: element.id || element.getAttribute("href") || element.textContent || element.name,
                         visible: (outlined || element.matches(".skip")) && inside };
            }"""
        )

    def test_a_whole_journey(self, console: Any, hub: "RealHub") -> None:
        page = console.open()
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()

        self._tab_to(page, "nav a[data-view=orders]", back=True)
        page.keyboard.press("Enter")
        expect(page.locator("#title-orders")).to_be_focused()
        self._tab_to(page, "#order-customer")
        page.keyboard.press("Control+A")
        page.keyboard.type("cus_keys")
        self._tab_to(page, "#order-payment")
        page.keyboard.press("ArrowDown")
        self._tab_to(page, "#place-order")
        page.keyboard.press("Enter")
        said = page.locator("#order-said[data-order]")
        expect(said).to_be_visible()
        order_id = str(said.get_attribute("data-order"))
        console.ends(order_id, "failed")

        self._tab_to(page, "#orders-body button.link")
        page.keyboard.press("Enter")
        expect(page.locator("#detail-title")).to_be_focused()
        expect(page.locator("#detail-facts")).to_contain_text("cus_keys")
        self._tab_to(page, "#close-detail")
        page.keyboard.press("Enter")
        expect(page.locator(f'tr[data-order="{order_id}"] button.link')).to_be_focused()
        assert hub.order(order_id)["reason"] == "declined"

    @staticmethod
    def _tab_to(page: Page, selector: str, *, back: bool = False) -> None:
        for _ in range(80):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Shift+Tab" if back else "Tab")
        raise AssertionError(f"{selector} is not reached by Tab")


class TestColours:
    GROUND = "getComputedStyle(document.body).backgroundColor"

    def test_are_the_systems_until_chosen_and_the_choice_stays(self, console: Any) -> None:
        page = console.open()
        light = page.evaluate(self.GROUND)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate(self.GROUND)
        assert light != dark

        page.select_option("#theme", "light")
        assert page.evaluate(self.GROUND) == light
        page.reload()

        assert page.evaluate(self.GROUND) == light
        expect(page.locator("#theme")).to_have_value("light")

    def test_are_not_all_that_tells_a_state(self, console: Any) -> None:
        page = console.open("orders")
        console.ends(console.place("tok_declined"), "failed")
        completed = console.ends(console.place("tok_ok"), "completed")

        shapes = page.locator("#orders-body .status").evaluate_all(
            "all => Object.fromEntries(all.map(s => [s.textContent.split(' ')[0].split('·')[0], "
            "getComputedStyle(s.querySelector('.glyph')).clipPath]))"
        )
        assert shapes["completed"] != shapes["failed"]
        expect(completed).to_contain_text("completed")


def test_outcomes_are_announced(console: Any) -> None:
    page = console.open("orders")

    order_id = console.place("tok_declined")

    expect(page.locator("#announcer[role=status]")).to_contain_text(f"{order_id[-8:]} failed: declined")
    expect(page.locator("#order-error")).to_have_attribute("role", "alert")
