"""What a stranger writes stays text, and what a person gives stays with the hub it is for."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Route, WebSocketRoute, expect

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>${alert(1)}'
CREDENTIAL = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


def problem(route: Route, status: int, code: str, detail: str, **headers: str) -> None:
    body = json.dumps({"type": "about:blank", "title": "No", "status": status, "code": code, "detail": detail})
    route.fulfill(status=status, content_type="application/problem+json", headers=headers, body=body)


def order(**changes: Any) -> dict[str, Any]:
    told = {
        "orderId": "ord_01a21439a34d7751ac64eb37ef0ad270",
        "customerId": HOSTILE,
        "status": "failed",
        "reason": HOSTILE,
        "total": 2500,
        "currency": "EUR",
        "version": 3,
        "createdAt": "2026-11-25T19:40:50Z",
    }
    return {**told, **changes}


def inert(page: Any) -> bool:
    return bool(page.evaluate("!('hacked' in window) && !document.querySelector('main img[src=x], main script')"))


def test_hostile_strings_from_the_api_are_text(console: Any) -> None:
    listed = json.dumps({"orders": [order(), order(orderId=HOSTILE, currency="<b>")], "nextCursor": None})
    console.context.route("**/api/orders?*", lambda route: route.fulfill(content_type="application/json", body=listed))
    files = json.dumps({"files": [{"cid": HOSTILE, "size": 1, "mediaType": HOSTILE, "createdAt": HOSTILE}]})
    console.context.route("**/api/storage/files?*", lambda route: route.fulfill(content_type="text/plain", body=files))

    page = console.open("orders")

    expect(page.locator("#orders-body tr").first).to_contain_text(HOSTILE)
    console.show("files")
    expect(page.locator("#files-list li").first).to_contain_text("<img src=x")
    assert inert(page)


def test_hostile_frames_and_nonsense_over_the_socket_are_text_or_nothing(console: Any) -> None:
    def talk(socket: WebSocketRoute) -> None:
        frames: list[Any] = [
            {"type": "welcome", "clientId": HOSTILE, "timestamp": "now"},
            "no JSON",
            [],
            None,
            {"type": 7, "data": {}},
            {"type": "order.created", "id": "1", "time": "x", "data": None},
            {"type": HOSTILE, "id": "2", "time": HOSTILE, "data": {"a": HOSTILE}},
            {"type": "order.created", "id": "3", "time": "2026-11-25T19:40:50Z", "data": order()},
            {"type": "order.created", "id": "3", "time": "2026-11-25T19:40:50Z", "data": order()},
            {"type": "file.stored", "id": "4", "time": "2026-11-25T19:40:50Z", "data": {"cid": 5, "size": "many"}},
            {"type": "order.failed", "id": "5", "time": "2026-11-25T19:40:50Z", "data": order()},
        ]
        for frame in frames:
            socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    console.context.route_web_socket("**/ws", talk)

    page = console.open("events")

    expect(page.locator("#feed li[data-type='order.created']")).to_have_count(1)
    expect(page.locator("#feed li[data-type='order.failed']")).to_contain_text("onerror")
    expect(page.locator("#feed")).to_contain_text(HOSTILE[:40])
    console.show("overview")
    assert inert(page)


def test_hostile_problems_are_text(console: Any) -> None:
    console.context.route("**/api/orders", lambda route: problem(route, 422, HOSTILE, HOSTILE))
    console.expects_outage = True
    page = console.open("orders")

    page.click("#place-order")

    expect(page.locator("#order-error")).to_contain_text(HOSTILE)
    assert inert(page)


def test_a_page_that_would_run_inline_code_is_stopped_and_noticed(console: Any) -> None:
    """The policy at work, and the probe that every other test relies on."""
    page = console.open()

    stopped = page.evaluate(
        """() => {
            const tries = [
                () => document.createElement("img").setAttribute("onerror", "window.hacked = 1"),
                () => (document.body.innerHTML = "<b>markup</b>"),
                () => Object.assign(document.createElement("script"), {text: "window.hacked = 1"}),
            ];
            const style = document.body.appendChild(document.createElement("style"));
            style.textContent = "body { display: none }";
            return tries.map((attempt) => { try { attempt(); return "done"; } catch (error) { return error.name; } });
        }"""
    )

    assert stopped == ["TypeError"] * 3
    assert page.locator("#hub-state").is_visible()
    assert page.evaluate("'hacked' in window") is False
    assert {each.split()[0] for each in console.violations} >= {"require-trusted-types-for", "style-src-elem"}
    page.evaluate("cortexViolations.length = 0")
    console.complaints.clear()


def test_a_credential_travels_in_headers_and_never_in_an_address(console: Any) -> None:
    page = console.open()
    seen: list[str] = []
    sockets: list[str] = []
    console.expects_outage = True
    page.on("request", lambda request: seen.append(request.url))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    console.context.route_web_socket("**/ws", lambda socket: socket.send('{"type":"welcome"}'))

    page.click("#open-credentials")
    page.fill("#credential", CREDENTIAL)
    with page.expect_request(lambda each: each.headers.get("authorization") == f"Bearer {CREDENTIAL}"):
        page.keyboard.press("Enter")

    expect(page.locator("#who")).to_have_text("Token")
    assert page.evaluate("sessionStorage.length + Object.keys(localStorage).length") == 0
    assert not [address for address in seen if CREDENTIAL in address]
    assert not [url for url in sockets if CREDENTIAL in url]
    assert CREDENTIAL not in page.content()
    assert page.input_value("#credential") == ""


def test_a_credential_is_kept_for_the_tab_if_asked_and_forgotten_at_once(console: Any) -> None:
    page = console.open()
    console.expects_outage = True
    page.click("#open-credentials")
    page.fill("#credential", "ck_0123456789abcdef")
    page.check("#credential-keep")
    page.click("#credential-use")
    page.reload()
    expect(page.locator("#who")).to_have_text("API key")

    page.click("#open-credentials")
    page.click("#credential-forget")

    expect(page.locator("#who")).to_have_text("Anonymous")
    assert page.evaluate("sessionStorage.length") == 0


def test_what_one_person_saw_is_gone_when_another_comes(console: Any) -> None:
    page = console.open("files")
    page.set_input_files("#upload-file", {"name": "mine", "mimeType": "text/plain", "buffer": b"mine"})
    page.click("#upload-start")
    expect(page.locator("#upload-cid")).to_be_visible()
    console.show("orders")
    order_id = console.place("tok_ok")
    console.ends(order_id, "completed").locator("button.link").click()
    expect(page.locator("#order-detail")).to_be_visible()
    console.context.route("**/api/**", lambda route: problem(route, 401, "auth.invalid-credential", "unknown"))
    console.expects_outage = True

    page.click("#open-credentials")
    page.fill("#credential", "ck_0123456789abcdef")
    page.click("#credential-use")

    expect(page.locator("#banner-text")).to_contain_text("The credential is not accepted")
    expect(page.locator("#orders-body tr")).to_have_count(0)
    expect(page.locator("#order-detail")).to_be_hidden()
    expect(page.locator("#figure-completed")).not_to_have_text(re.compile("[0-9]"))
    expect(page.locator("#plot-outcomes")).to_have_attribute("data-samples", "0")
    for place in ("#latest-orders", "#latest-events", "#feed", "#files-list", "#upload-result"):
        expect(page.locator(place)).not_to_contain_text(order_id[-8:])
        expect(page.locator(place)).not_to_contain_text("mine")


def test_what_is_no_credential_is_not_taken(console: Any) -> None:
    page = console.open()

    page.click("#open-credentials")
    page.fill("#credential", "two words")
    page.keyboard.press("Enter")

    expect(page.locator("#credentials-error")).to_contain_text("neither a token nor an API key")
    page.keyboard.press("Escape")
    expect(page.locator("#credentials")).to_be_hidden()
    expect(page.locator("#open-credentials")).to_be_focused()


def test_401_offers_to_take_a_credential(console: Any) -> None:
    challenge = {"WWW-Authenticate": "Bearer"}
    console.context.route("**/api/**", lambda route: problem(route, 401, "auth.required", "who asks?", **challenge))
    console.expects_outage = True
    page = console.open("orders", live=False)

    expect(page.locator("#banner-text")).to_contain_text("who is asking")
    page.click("#banner-action")

    expect(page.locator("#credential")).to_be_focused()


def test_403_names_what_is_missing(console: Any) -> None:
    detail = "the scope orders:write is needed"
    console.context.route("**/api/orders", lambda route: problem(route, 403, "auth.insufficient-scope", detail))
    console.expects_outage = True
    page = console.open("orders")

    page.click("#place-order")

    expect(page.locator("#banner-text")).to_have_text(f"Not allowed: {detail}.")
    expect(page.locator("#order-error")).to_contain_text("orders:write")


def test_429_counts_down_and_the_page_waits(console: Any) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        problem(route, 429, "rate-limit.exceeded", "wait", **{"Retry-After": "3", "X-RateLimit-Limit": "100"})

    console.context.route("**/api/**", refuse)
    console.expects_outage = True
    page = console.open(live=False)

    expect(page.locator("#banner-text")).to_contain_text("Try again in 3 s; the page itself waits")
    expect(page.locator("#announcer")).to_contain_text("The limit is reached")
    first = len(asked)
    expect(page.locator("#banner-text")).to_contain_text("in 1 s")

    assert len(asked) == first  # not a single one meanwhile
    console.context.unroute("**/api/**")
    expect(page.locator("#banner")).to_be_hidden()


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString"])
def test_an_address_that_every_object_knows_is_no_view(console: Any, name: str) -> None:
    page = console.page
    page.goto(f"{console.url}/#/{name}")

    expect(page.locator("#view-overview")).to_be_visible()
    expect(page.locator("#live-state")).to_have_attribute("data-state", "up")


def test_a_name_that_runs_backwards_takes_nothing_else_along(console: Any) -> None:
    name = "plan\u202egvs.txt"
    page = console.open("files")
    page.set_input_files("#upload-file", {"name": name, "mimeType": "text/plain", "buffer": b"backwards"})
    page.click("#upload-start")

    expect(page.locator("#view-files b bdi")).to_have_text(name)
    expect(page.locator("#files-list bdi").first).to_have_text(name)
    labels = page.locator("#files-list li").first.locator("button")
    assert "\u202e" not in str(labels.first.get_attribute("aria-label"))
