"""The pictures in docs/images: `make screenshots`. Named so that no other run collects it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(240)]
PLACE = Path(__file__).parents[3] / "docs/images"
PAGE = PLACE.parent / "console.md"
LARGEST = 200 << 10  # bytes


@pytest.fixture(params=[(1280, 830, "light"), (1280, 830, "dark"), (360, 740, "light")], ids=str)
def console(browser: Browser, hub: "RealHub", console_type: type[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height, colours = request.param
    look = {"viewport": {"width": width, "height": height}, "color_scheme": colours, "reduced_motion": "reduce"}
    context = browser.new_context(**look, locale="en-GB", timezone_id="UTC")
    yield console_type(context, hub.url("gateway"))
    context.close()


def test_pictures(console: Any, hub: "RealHub", request: pytest.FixtureRequest) -> None:
    width, _, colours = request.node.callspec.params["console"]
    page = console.open()
    for token in ("tok_ok", "tok_declined", "tok_ok", "tok_flaky", "tok_ok", "tok_ok", "tok_declined"):
        order_id = hub.place(token)
        hub.eventually(lambda order_id=order_id: hub.order(order_id)["status"] in {"completed", "failed"})
        page.wait_for_timeout(5_000)  # the plots want samples over time
    _take(page, "overview", width, colours)

    console.show("orders")
    console.ends(console.place("tok_ok", "cus_7"), "completed")
    console.place("tok_timeout", "cus_8")
    page.locator("#orders-body button.link").nth(1).click()
    expect(page.locator("#detail-timeline li")).to_have_count(3)
    page.evaluate("scrollTo(0, 0)")
    _take(page, "orders", width, colours)
    page.locator("#orders-body").get_by_role("button", name="Cancel").first.click()

    console.show("files")
    page.set_input_files("#upload-file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes\n" * 90_000})
    page.click("#upload-start")
    expect(page.locator("#upload-cancel")).to_be_hidden()
    page.locator("#files-list").get_by_role("button", name="Check notes.txt").click()
    expect(page.locator("#files-list .status").first).to_be_visible()
    _take(page, "files", width, colours)

    console.show("images")
    page.click("#image-sample")
    page.click("#image-start")
    expect(page.locator("#image-after")).to_be_visible()
    _take(page, "images", width, colours)


def _take(page: Any, name: str, width: int, colours: str) -> None:
    """Those that the page shows, in 255 colours: the eye does not miss the others, the repository would carry them."""
    PLACE.mkdir(exist_ok=True)
    path = PLACE / f"console-{name}-{width}-{colours}.png"
    if path.name not in PAGE.read_text():
        return
    page.screenshot(path=path)
    with Image.open(path) as taken:
        taken.convert("RGB").quantize(255).save(path, optimize=True)
    assert path.stat().st_size <= LARGEST
