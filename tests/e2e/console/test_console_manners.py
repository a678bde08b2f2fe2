"""What the page asks by itself, by the browser's own clock: little, less when nobody looks, nothing when refused."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

pytestmark = [pytest.mark.hub, pytest.mark.timeout(120)]
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def asked(console: Any) -> list[str]:
    """The paths of what the page asked of the API, in order; the limit counts these."""
    return noted(console, "/api/")


def noted(console: Any, beginning: str) -> list[str]:
    paths: list[str] = []

    def note(request: Any) -> None:
        path = request.url.removeprefix(console.url)
        if path.startswith(beginning):
            paths.append(path)

    console.page.on("request", note)
    return paths


TURN = """() => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
})"""
"""A turn of the page's loop, whatever its clock says."""


def let_pass(page: Page, seconds: int) -> None:
    """Second by second: however slow the machine is, what was asked is answered before the next one begins."""
    under_way: set[Any] = set()

    def begun(request: Any) -> None:
        under_way.add(request)

    def ended(request: Any) -> None:
        under_way.discard(request)

    page.on("request", begun)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    for _ in range(seconds):
        page.clock.run_for(1_000)
        page.evaluate(TURN)
        while under_way:
            page.wait_for_timeout(5)
        page.evaluate(TURN)
    page.remove_listener("request", begun)
    page.remove_listener("requestfinished", ended)
    page.remove_listener("requestfailed", ended)


def test_a_minute_in_sight_takes_a_seventh_of_the_limit(console: Any, asked: list[str]) -> None:
    console.page.clock.install()
    page = console.open()
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"))
    asked.clear()

    let_pass(page, 60)

    assert 5 <= len(asked) <= 14, asked


def test_a_hidden_page_asks_nothing_and_goes_on_when_it_is_seen(console: Any) -> None:
    asked = noted(console, "/")  # the health report and the metrics, too
    console.page.clock.install()
    page = console.open()
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"))
    page.evaluate(HIDE, True)
    let_pass(page, 6)
    asked.clear()

    let_pass(page, 60)

    assert asked == []
    with page.expect_request("**/api/analytics/metrics"):
        page.evaluate(HIDE, False)


def welcome(socket: WebSocketRoute) -> None:
    socket.on_message(lambda _: socket.send('{"type":"pong"}'))
    socket.send('{"type":"welcome"}')


Behaviour = Callable[[WebSocketRoute], None]


def opened_refused(console: Any, refuse: Callable[[Route], None], code: int) -> tuple[Any, list[str], list[Behaviour]]:
    """The page where requests are refused so, and sockets closed by `code`; the sockets' addresses; and what becomes of
    the next ones, by its first."""
    sockets: list[str] = []
    behave: list[Behaviour] = [lambda socket: socket.close(code=code)]

    def talk(socket: WebSocketRoute) -> None:
        sockets.append(socket.url)
        behave[0](socket)

    console.context.route("**/api/**", refuse)
    console.context.route_web_socket("**/ws", talk)
    console.expects_outage = True
    console.page.clock.install()
    return console.open(live=False), sockets, behave


def test_a_page_whose_visitor_is_over_the_limit_asks_seldom_and_fills_when_there_is_room(
    console: Any, asked: list[str]
) -> None:
    def refuse(route: Route) -> None:
        told = {"code": "rate-limit.exceeded", "detail": "more than 100 in 60 s; wait before you ask again"}
        limit = {"Retry-After": "20", "X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"}
        route.fulfill(status=429, content_type="application/problem+json", headers=limit, body=json.dumps(told))

    page, sockets, behave = opened_refused(console, refuse, 1013)
    console.show("files")
    expect(page.locator("#banner-text")).to_contain_text("Try again in 20 s; the page itself waits")
    expect(page.locator("#files-empty")).to_contain_text("(rate-limit.exceeded); try again in 20 s.")
    behave[0] = welcome
    let_pass(page, 1)
    asked.clear()
    sockets.clear()

    let_pass(page, 17)
    assert (asked, sockets) == ([], [])  # a handshake counts, too

    let_pass(page, 60)
    assert len(asked) <= 9, asked  # three lists, each no more than once in twenty seconds
    assert len(sockets) == 1

    console.context.unroute("**/api/**")
    let_pass(page, 60)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"))
    expect(page.locator("#files-empty")).not_to_contain_text("not to be had")
    assert [each for each in asked if each.startswith("/api/orders?")]
    before = len([each for each in asked if each.startswith(("/api/orders?", "/api/storage/files?"))])
    let_pass(page, 60)
    after = len([each for each in asked if each.startswith(("/api/orders?", "/api/storage/files?"))])
    assert after == before  # what is there is not asked for again


def test_while_little_is_left_of_the_limit_only_the_person_asks(console: Any, asked: list[str]) -> None:
    def nearly_spent(route: Route) -> None:
        answer = route.fetch()
        limit = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "12"}
        route.fulfill(response=answer, headers={**answer.headers, **limit})

    console.context.route("**/api/**", nearly_spent)
    console.page.clock.install()
    page = console.open()
    expect(page.locator("#quota")).to_contain_text("12 of 100 requests left")
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"))
    asked.clear()

    let_pass(page, 60)

    assert len(asked) <= 5, asked  # one every fifteen seconds, to find out
    expect(page.locator("#quota")).to_contain_text("the page waits")
    console.show("orders")
    console.place()


def test_who_is_not_known_does_not_knock_again_until_something_changes(console: Any, asked: list[str]) -> None:
    def refuse(route: Route) -> None:
        told = {"code": "auth.required", "detail": "who asks?", "status": 401}
        route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(told))

    def let_in(route: Route) -> None:
        """As whoever the hub takes without a credential: this one is made up."""
        kept = {name: value for name, value in route.request.headers.items() if name != "authorization"}
        route.continue_(headers=kept)

    page, sockets, behave = opened_refused(console, refuse, 1008)
    expect(page.locator("#banner")).to_be_visible()
    let_pass(page, 5)
    asked.clear()
    sockets.clear()

    let_pass(page, 120)

    assert (asked, sockets) == ([], [])
    behave[0] = lambda socket: socket.send('{"type":"welcome"}')
    console.context.unroute("**/api/**")
    console.context.route("**/api/**", let_in)
    page.click("#banner-action")
    page.fill("#credential", "ck_0123456789abcdef")
    page.keyboard.press("Enter")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "up")
    expect(page.locator("#banner")).to_be_hidden()
    assert asked
