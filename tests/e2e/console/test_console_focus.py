"""Where the keyboard is after each action: where it was, or where the next step is, never nowhere."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, Route, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
TEXT = {"name": "focus.txt", "mimeType": "text/plain", "buffer": b"focus"}


class Gate:
    """Holds what is asked of an address until it is opened; counts it."""

    def __init__(self, console: Any, address: str) -> None:
        self.held: list[Route] = []
        self._page: Page = console.page
        console.context.route(address, self._hold)

    def _hold(self, route: Route) -> None:
        self.held.append(route)

    def wait(self) -> None:
        while not self.held:
            self._page.wait_for_timeout(5)

    def open(self) -> None:
        for route in self.held:
            route.continue_()


def press(page: Page, selector: str, key: str = "Enter") -> Any:
    """The button, which the keyboard was on when it was pressed."""
    button = page.locator(selector).first
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.focus()
    page.keyboard.press(key)
    return button


def settled(page: Page) -> None:
    """Two frames: a browser takes the focus from what is disabled when it paints."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def listed(console: Any, path: str, pages: list[dict[str, Any]]) -> None:
    """Answers a list in pages: their cursors are their numbers."""

    def answer(route: Route) -> None:
        at = int(route.request.url.rpartition("cursor=")[2]) if "cursor=" in route.request.url else 0
        more = {"nextCursor": str(at + 1) if at + 1 < len(pages) else None}
        route.fulfill(content_type="application/json", body=json.dumps({**pages[at], **more}))

    console.context.route(f"**/api/{path}?*", answer)


def order(number: int, **changes: Any) -> dict[str, Any]:
    known = {"orderId": f"ord_0000{number}", "customerId": "cus_focus", "status": "pending", "version": 1}
    return {**known, "total": 100, "currency": "EUR", "createdAt": f"2099-01-0{9 - number}T00:00:00Z", **changes}


def test_an_order_is_placed_once_and_the_keyboard_stays(console: Any) -> None:
    page = console.open("orders")
    gate = Gate(console, "**/api/orders")

    button = press(page, "#place-order")
    gate.wait()
    settled(page)

    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    page.locator("#order-customer").press("Enter")
    button.focus()
    settled(page)
    assert len(gate.held) == 1
    gate.open()
    expect(page.locator("#order-said[data-order]")).to_be_visible()
    expect(button).to_be_focused()
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_a_refused_order_leaves_the_keyboard_where_it_was(console: Any) -> None:
    page = console.open("orders")
    console.expects_outage = True
    console.context.route("**/api/orders", lambda route: route.fulfill(status=503, body="{}"))

    button = press(page, "#place-order")

    expect(page.locator("#order-error")).to_contain_text("answered 503")
    settled(page)
    expect(button).to_be_focused()


def test_an_order_that_is_called_off_keeps_the_keyboard_in_its_row(console: Any) -> None:
    page = console.open("orders")
    order_id = console.place("tok_timeout")

    press(page, f'tr[data-order="{order_id}"] button.small')

    console.ends(order_id, "cancelled")
    settled(page)
    expect(console.row(order_id).locator("button.link")).to_be_focused()


def test_a_cancellation_that_fails_is_told_where_all_see_it_and_the_keyboard_stays(console: Any) -> None:
    listed(console, "orders", [{"orders": [order(1)]}])
    console.context.route("**/api/orders/ord_00001**", lambda route: route.fulfill(status=503, body="{}"))
    page = console.open("orders")
    console.expects_outage = True

    button = press(page, "#orders-body button.small")

    expect(page.locator("#orders-error[role=alert]")).to_have_text("Not cancelled: answered 503.")
    settled(page)
    expect(button).to_be_focused()
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_another_order_that_arrives_takes_the_keyboard_from_no_row(console: Any, hub: "RealHub") -> None:
    console.open("orders")
    order_id = console.place("tok_timeout")
    cancel = console.row(order_id).get_by_role("button", name="Cancel")
    cancel.focus()

    later = hub.place()

    console.ends(later, "completed")
    expect(cancel).to_be_focused()


@pytest.mark.parametrize(
    ("view", "path", "pages"),
    [
        ("orders", "orders", [{"orders": [order(1)]}, {"orders": [order(2)]}]),
        ("files", "storage/files", [{"files": [{"cid": f"bafk{n}", "size": 1, "createdAt": "x"}]} for n in (1, 2)]),
    ],
    ids=["orders", "files"],
)
def test_the_end_of_a_list_leaves_the_keyboard_on_its_button(
    console: Any, view: str, path: str, pages: list[dict[str, Any]]
) -> None:
    listed(console, path, pages)
    page = console.open(view)

    older = press(page, f"#{view}-older")
    expect(page.locator("#announcer")).to_contain_text("Page 2")
    settled(page)
    expect(older).to_be_focused()
    expect(older).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(page.locator(f"#{view}-page")).to_have_text("Page 2")

    newer = press(page, f"#{view}-newer")
    expect(page.locator(f"#{view}-page")).to_have_text("Page 1")
    settled(page)
    expect(newer).to_be_focused()


def test_a_file_is_uploaded_and_checked_and_the_keyboard_stays(console: Any) -> None:
    page = console.open("files")
    page.set_input_files("#upload-file", TEXT)

    upload = press(page, "#upload-start")
    expect(page.locator("#upload-cid")).to_be_visible()
    expect(page.locator("#files-list li")).not_to_have_count(0)
    settled(page)
    expect(upload).to_be_focused()

    check = press(page, 'button[aria-label="Check focus.txt"]')
    expect(page.locator("#files-list .status").first).to_have_text("Same bytes")
    settled(page)
    expect(check).to_be_focused()
    download = press(page, 'button[aria-label="Download focus.txt"]')
    settled(page)
    expect(download).to_be_focused()


def test_an_upload_that_is_given_up_hands_the_keyboard_back(console: Any) -> None:
    page = console.open("files")
    console.expects_outage = True
    page.set_input_files("#upload-file", TEXT)
    gate = Gate(console, "**/api/storage/files")
    press(page, "#upload-start")
    gate.wait()

    press(page, "#upload-cancel")

    expect(page.locator("#upload-error")).to_contain_text("Cancelled")
    settled(page)
    expect(page.locator("#upload-start")).to_be_focused()


def test_an_image_is_processed_and_the_keyboard_stays(console: Any) -> None:
    page = console.open("images")
    press(page, "#image-sample")

    button = press(page, "#image-start")

    expect(page.locator("#image-after")).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("grayscale done")
    settled(page)
    expect(button).to_be_focused()


def test_a_button_that_has_nothing_to_do_does_nothing(console: Any) -> None:
    page = console.open("images")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.locator("#image-start").focus()
    page.keyboard.press("Enter")
    page.locator("#image-operation").focus()
    page.locator("#image-start").click(force=True)

    assert not [address for address in asked if "compute/images" in address]
    console.show("files")
    page.locator("#upload-start").focus()
    page.keyboard.press("Enter")
    settled(page)
    expect(page.locator("#upload-start")).to_be_focused()
    expect(page.locator("#upload-error")).to_be_empty()


def test_a_credential_that_was_asked_for_leaves_the_keyboard_at_its_button(console: Any) -> None:
    told = json.dumps({"code": "auth.required", "detail": "who asks?"})
    console.context.route("**/api/**", lambda route: route.fulfill(status=401, body=told))
    console.expects_outage = True
    page = console.open("orders", live=False)
    press(page, "#banner-action")
    console.context.unroute("**/api/**")

    console.context.route("**/api/**", lambda route: route.fulfill(status=503, body="{}"))
    page.keyboard.type("ck_0123456789abcdef")
    page.keyboard.press("Enter")

    expect(page.locator("#credentials")).to_be_hidden()
    expect(page.locator("#banner")).to_be_hidden()
    settled(page)
    expect(page.locator("#open-credentials")).to_be_focused()
