"""What the page says while a part of the hub is away, and that it comes back by itself."""

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import APIResponse, Route, WebSocketRoute, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(180)]


def kill(hub: "RealHub", name: str) -> None:
    """The service dies; `--restart` brings another one."""
    before = hub.pids()[name]
    os.kill(before, signal.SIGKILL)
    hub.eventually(lambda: not hub.runs(before))


@pytest.fixture(autouse=True)
def left_ready(hub: "RealHub") -> Any:
    yield
    hub.eventually(lambda: hub.cortex("status").returncode == 0, within=40)


def test_notifications_come_back_after_their_service_was_restarted(console: Any, hub: "RealHub") -> None:
    page = console.open("events")
    console.expects_outage = True
    hub.place()
    expect(page.locator("#feed li[data-type='order.created']").first).to_be_visible()

    kill(hub, "notification")

    expect(page.locator("#live-state")).not_to_have_attribute("data-state", "up")
    missed = hub.place()
    expect(page.locator("#live-state")).to_have_attribute("data-state", "up", timeout=60_000)
    expect(page.locator("#feed .gap")).to_be_visible()
    console.show("orders")
    console.ends(missed, "completed")  # the list was asked again: what the feed missed, it has
    console.show("events")
    order_id = hub.place()
    expect(page.locator("#feed li[data-type='order.completed']").first).to_contain_text(order_id[-8:])


def test_orders_are_followed_by_asking_while_the_live_line_is_down(console: Any) -> None:
    console.context.route_web_socket(re.compile("/ws$"), lambda socket: socket.close(code=1013))
    page = console.open("orders", live=False)
    console.expects_outage = True
    expect(page.locator("#live-state")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#orders-source")).to_contain_text("The live line is down")

    order_id = console.place("tok_ok")

    console.ends(order_id, "completed")


def test_a_list_that_is_not_to_be_had_is_not_told_as_empty_and_fills_by_itself(console: Any) -> None:
    console.context.route("**/api/orders?*", lambda route: route.fulfill(status=503, body="{}"))
    console.expects_outage = True
    page = console.open("orders")
    expect(page.locator("#orders-empty")).to_have_text("The list is not to be had: answered 503.")
    console.show("overview")
    expect(page.locator("#latest-orders")).to_have_text("The list is not to be had.")

    known = {"orderId": "ord_12345678", "customerId": "cus_1", "status": "completed", "total": 100, "currency": "EUR"}
    console.context.route("**/api/orders?*", lambda route: route.fulfill(json={"orders": [known], "nextCursor": None}))

    expect(page.locator("#latest-orders")).to_contain_text("completed")  # with the live line up all the time
    console.show("orders")
    expect(page.locator("#orders-empty")).to_be_hidden()


def test_an_order_that_a_slow_list_does_not_know_yet_stays_on_show(console: Any, hub: "RealHub") -> None:
    held: list[tuple[Route, APIResponse]] = []
    console.context.route("**/api/orders?*", lambda route: held.append((route, route.fetch())))
    page = console.open("orders")
    hub.eventually(lambda: page.wait_for_timeout(20) or held)

    order_id = console.place("tok_declined")
    for route, answer in held:
        route.fulfill(response=answer)

    console.ends(order_id, "failed")
    expect(page.locator("#announcer")).to_contain_text("failed: declined")


def test_what_comes_late_takes_nothing_back(console: Any) -> None:
    def talk(socket: WebSocketRoute) -> None:
        ids = {"orderId": "ord_late", "customerId": "cus_late"}
        money = {"total": 2500, "currency": "EUR"}
        changes = [
            ("order.created", {**ids, **money, "createdAt": "2099-11-25T19:40:50Z"}),
            ("order.completed", {**ids, **money, "processingTime": 0.1}),
            ("order.state.changed", {**ids, "state": "processing", "previous": "pending"}),
            ("order.created", {**ids, **money, "createdAt": "2099-11-25T19:40:50Z"}),
            ("file.stored", {"cid": "bafk", "size": 1}),
        ]
        socket.send('{"type":"welcome"}')
        for number, (kind, data) in enumerate(changes):
            socket.send(json.dumps({"type": kind, "id": str(number), "time": "2099-11-25T19:40:50Z", "data": data}))

    console.context.route_web_socket("**/ws", talk)
    page = console.open("orders")

    expect(page.locator("#feed li[data-type='file.stored']")).to_have_count(1)
    console.ends("ord_late", "completed")
    expect(console.row("ord_late").locator(".status")).to_have_text("completed")


def test_a_service_that_is_down_is_plain_to_see_and_so_is_its_return(console: Any, hub: "RealHub") -> None:
    page = console.open()
    console.expects_outage = True

    os.kill(hub.pids()["compute"], signal.SIGSTOP)
    try:
        tile = page.locator("#service-compute")
        expect(tile).to_have_attribute("data-state", "down")
        expect(tile).to_contain_text("Down")
        expect(page.locator("#hub-state")).to_have_text("Degraded: compute")
        expect(page.locator("#service-order")).to_contain_text("Up")
    finally:
        os.kill(hub.pids()["compute"], signal.SIGCONT)
    expect(tile).to_have_attribute("data-state", "up", timeout=60_000)
    expect(page.locator("#hub-state")).to_have_text("All services up", timeout=60_000)


def test_a_gateway_that_is_gone_is_told_honestly_and_all_recovers(console: Any, hub: "RealHub") -> None:
    page = console.open()
    console.expects_outage = True
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"))

    kill(hub, "gateway")

    expect(page.locator("#hub-state")).to_have_text("Gateway does not answer")
    expect(page.locator("#live-state")).not_to_have_text("Live")
    expect(page.locator("#service-order")).to_contain_text("Unknown")
    expect(page.locator("#hub-state")).to_have_text("All services up", timeout=90_000)
    expect(page.locator("#live-state")).to_have_text("Live", timeout=60_000)
    expect(page.locator("#figure-completed")).to_have_text(re.compile("[0-9]"), timeout=60_000)
    console.show("orders")
    console.ends(console.place("tok_ok"), "completed")
