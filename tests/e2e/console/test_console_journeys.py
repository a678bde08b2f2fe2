"""What a person does at the console, from end to end: the hub answers, the page shows it."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from cortex_core.ipfs import FileBuilder

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")


def cid_of(content: bytes) -> str:
    builder = FileBuilder()
    builder.add(content)
    return str(builder.finish().cid)


def test_the_six_are_shown_with_their_timing(console: Any) -> None:
    page = console.open()

    for name in SERVICES:
        tile = page.locator(f"#service-{name}")
        expect(tile).to_contain_text("Up")
        expect(tile.locator(".service-time")).to_have_text(re.compile(r"[0-9.]+ (ms|s)"))
    expect(page.locator("#hub-state")).to_have_text("All services up")


def test_an_order_is_placed_and_completes_before_ones_eyes(console: Any, hub: "RealHub") -> None:
    page = console.open("orders")

    order_id = console.place("tok_ok", "cus_7")

    row = console.ends(order_id, "completed")
    expect(row).to_contain_text("cus_7")
    expect(row).to_contain_text("€25.00")
    row.locator("button.link").click()
    expect(page.locator("#detail-timeline li")).to_have_count(3)
    assert hub.order(order_id)["status"] == "completed"


def test_a_declined_payment_fails_with_its_reason(console: Any) -> None:
    console.open("orders")

    order_id = console.place("tok_declined")

    expect(console.ends(order_id, "failed")).to_contain_text("declined")


def test_an_order_whose_payment_hangs_is_cancelled(console: Any, hub: "RealHub") -> None:
    console.open("orders")
    order_id = console.place("tok_timeout")

    console.row(order_id).get_by_role("button", name="Cancel").click()

    row = console.ends(order_id, "cancelled")
    expect(row.get_by_role("button", name="Cancel")).to_have_count(0)
    assert hub.order(order_id)["status"] == "cancelled"


def test_the_same_key_twice_is_one_order(console: Any) -> None:
    page = console.open("orders")
    page.fill("#order-key", "basket-e2e")
    first = console.place()

    page.fill("#order-key", "basket-e2e")
    second = console.place()

    assert second == first
    expect(page.locator("#order-said")).to_contain_text("That key was used before")


def test_a_mistake_is_told_beside_the_form_and_nothing_is_sent(console: Any) -> None:
    page = console.open("orders")
    console.place()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))

    page.fill("[name=quantity]", "0")
    page.click("#place-order")

    expect(page.locator("#order-error")).to_have_text("A quantity is a whole number from 1.")
    expect(page.locator("[name=quantity]")).to_be_focused()
    expect(page.locator("[name=quantity]")).to_have_attribute("aria-invalid", "true")
    assert "POST" not in sent


def test_what_the_service_refuses_is_told_in_its_words(console: Any) -> None:
    page = console.open("orders")
    console.expects_outage = True  # the browser notes the 422 by itself

    page.fill("#order-customer", "7 cus")
    page.click("#place-order")

    expect(page.locator("#order-error")).to_contain_text("order.invalid-customer")


def test_the_list_goes_back_page_by_page(console: Any, hub: "RealHub") -> None:
    placed = [hub.place() for _ in range(14)]
    page = console.open("orders")
    expect(page.locator("#orders-body tr")).to_have_count(12)

    page.click("#orders-older")

    expect(page.locator("#orders-page")).to_have_text("Page 2")
    expect(console.row(placed[0])).to_be_visible()
    page.click("#orders-newer")
    expect(console.row(placed[-1])).to_be_visible()
    page.select_option("#order-filter", "failed")
    expect(console.row(placed[-1])).to_have_count(0)


def test_notifications_arrive_of_what_others_do(console: Any, hub: "RealHub") -> None:
    page = console.open("events")

    order_id = hub.place()

    feed = page.locator("#feed")
    expect(feed.locator("li[data-type='order.created']").first).to_contain_text(order_id[-8:])
    expect(feed.locator("li[data-type='order.completed']").first).to_contain_text(order_id[-8:])
    page.select_option("#event-filter", "file.")
    expect(feed.locator("li")).to_have_count(0)
    page.click("#pause-feed")
    hub.place()
    expect(page.locator("#events-source")).to_have_text(re.compile(r"Paused, [1-9]"))


@pytest.mark.parametrize("size", [0, 1000, 262_145, 262_144 * 175 + 1])
def test_an_upload_gets_the_cid_that_both_sides_computed(console: Any, tmp_path: Path, size: int) -> None:
    content = (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]
    source = tmp_path / "<img src=x onerror=alert(1)>.bin"
    source.write_bytes(content)
    page = console.open("files")

    page.set_input_files("#upload-file", source)
    page.click("#upload-start")

    expect(page.locator("#upload-cid")).to_have_text(cid_of(content), timeout=60_000)
    expect(page.locator("#upload-result")).to_contain_text("The CID is the one computed in this page")
    expect(page.locator("#upload-result b")).to_have_text(source.name)


def test_a_download_is_the_same_bytes(console: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    page = console.open("files")
    page.set_input_files("#upload-file", {"name": "a.bin", "mimeType": "application/octet-stream", "buffer": content})
    page.click("#upload-start")
    stored = page.locator(f'#files-list li[data-cid="{cid_of(content)}"]')

    with page.expect_download() as download:
        stored.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "back.bin")

    assert (tmp_path / "back.bin").read_bytes() == content
    assert download.value.suggested_filename == "a.bin"
    stored.get_by_role("button", name="Check").click()
    expect(stored).to_contain_text("Same bytes")


def test_an_image_stands_beside_what_became_of_it(console: Any) -> None:
    page = console.open("images")

    page.click("#image-sample")
    page.click("#image-start")

    expect(page.locator("#image-after")).to_be_visible()
    expect(page.locator("#image-facts")).to_contain_text(re.compile("640 . 420"))
    colours = """(id) => {
        const canvas = new OffscreenCanvas(640, 420), pen = canvas.getContext("2d");
        pen.drawImage(document.getElementById(id), 0, 0);
        return Array.from(pen.getImageData(40, 40, 1, 1).data);
    }"""
    assert page.evaluate(colours, "image-before") == [228, 87, 46, 255]
    luma = (19595 * 228 + 38470 * 87 + 7471 * 46 + 32768) >> 16
    assert page.evaluate(colours, "image-after") == [luma, luma, luma, 255]
    page.focus("#compare-slider")
    page.keyboard.press("End")
    expect(page.locator("#compare-slider")).to_have_attribute("aria-valuetext", "100 % before, 0 % after")


def test_what_is_no_image_is_refused_in_words(console: Any) -> None:
    page = console.open("images")
    console.expects_outage = True

    page.set_input_files("#image-file", {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    page.click("#image-start")

    expect(page.locator("#image-error")).to_contain_text("image.")


def test_the_plots_have_data(console: Any, hub: "RealHub") -> None:
    page = console.open()
    expect(page.locator("#plot-outcomes")).to_have_attribute("data-samples", re.compile("[1-9]"))
    order_id = hub.place()
    hub.eventually(lambda: hub.order(order_id)["status"] == "completed")

    for name in ("outcomes", "processing", "rate"):
        expect(page.locator(f"#plot-{name}")).to_have_attribute("data-samples", re.compile("[2-9]"))
        expect(page.locator(f"#plot-{name} canvas")).to_be_visible()
    expect(page.locator("#plot-processing .plot-area")).to_have_attribute("aria-label", re.compile(r"p50: [0-9.]+ m?s"))
    expect(page.locator("#plot-outcomes b").first).not_to_have_text("0")
    painted = """() => {
        const canvas = document.querySelector("#plot-outcomes canvas");
        const seen = new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
        return seen.size;
    }"""
    assert page.evaluate(painted) > 10


def test_the_links_lead_where_they_say(console: Any) -> None:
    page = console.open()

    for name in ("docs", "openapi.json", "metrics", "health"):
        assert console.context.request.get(f"{console.url}/{name}").status == 200
        assert page.locator(f'.references a[href="{name}"]').is_visible()
    assert page.get_by_role("link", name="Grafana").get_attribute("href") == "http://127.0.0.1:9/dashboards?a=1&b=2"
    expect(page.get_by_role("link", name="Jaeger")).to_have_count(0)
