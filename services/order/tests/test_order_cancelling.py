"""Calling an order off over HTTP: what it takes, and that `If-Match` holds it to what the client has seen."""

import asyncio
from typing import Any

import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.testing import eventually
from cortex_order.settings import Settings

NOBODY = "ord_" + "0" * 32


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One order in payment at a time: the others stay as they were placed."""
    return settings.model_copy(update={"concurrency": 1})


@pytest.fixture
async def waiting(api: Any, payments: Any) -> str:
    """An order behind another one whose payment never ends."""
    payments.gate = asyncio.Event()
    await api.placed()
    await eventually(lambda: payments.calls == 1)
    return str(await api.placed())


async def cancel(api: Any, order_id: str, body: Any = b"", **headers: str) -> Any:
    return await api.post(
        f"/orders/{order_id}/cancel", body, {name.replace("_", "-"): headers[name] for name in headers}
    )


async def test_a_waiting_order_is_called_off_and_never_paid(api: Any, waiting: str, payments: Any) -> None:
    reply = await cancel(api, waiting)
    payments.gate.set()

    assert reply.status == 200
    assert (reply.body["orderId"], reply.body["status"]) == (waiting, "cancelled")
    shown = await api.get(f"/orders/{waiting}")
    assert shown.body == reply.body
    assert shown.headers["ETag"] == reply.headers["ETag"] == f'"v{reply.body["version"]}"'
    await eventually(lambda: len(payments.charges) == 1)
    assert payments.charges[0][0] != waiting


async def test_the_answer_says_where_the_order_is(api: Any, waiting: str) -> None:
    reply = await cancel(api, waiting)

    assert reply.headers["Content-Location"] == f"../{waiting}"


async def test_the_bus_hears_of_it_once(api: Any, waiting: str, bus: MemoryEventBus) -> None:
    heard: list[Any] = []

    async def hear(event: Any) -> None:
        heard.append(event)

    await bus.consume("test", ["order"], hear)
    await cancel(api, waiting)
    await cancel(api, waiting)

    await eventually(lambda: any(event.type == "order.cancelled" for event in heard))
    told = [event for event in heard if event.subject == waiting]
    assert [event.type for event in told].count("order.cancelled") == 1
    assert told[-1].data == {"orderId": waiting, "customerId": "cus_1", "processingTime": 0.0}
    assert told[-2].data == {"orderId": waiting, "state": "cancelled", "previous": told[-2].data["previous"]}


async def test_asking_twice_is_asking_once(api: Any, waiting: str) -> None:
    first, second = await cancel(api, waiting), await cancel(api, waiting)

    assert (first.status, first.body) == (second.status, second.body)
    assert first.headers["ETag"] == second.headers["ETag"]


async def test_a_hundred_at_once_are_one(api: Any, waiting: str) -> None:
    before = (await api.get(f"/orders/{waiting}")).body["version"]

    replies = await asyncio.gather(*(cancel(api, waiting) for _ in range(100)))

    assert {(reply.status, reply.body["version"]) for reply in replies} == {(200, before + 1)}


async def test_an_order_that_has_ended_stays_as_it_is(api: Any) -> None:
    order_id = await api.placed()
    await api.settled(order_id)

    reply = await cancel(api, order_id)

    assert reply.code == (409, "order.illegal-transition")
    assert (reply.body["current"], reply.body["wanted"]) == ("completed", "cancelled")
    assert (await api.get(f"/orders/{order_id}")).body["status"] == "completed"


@pytest.mark.parametrize("order_id", [NOBODY, "ord_1", "%01", "%F0%9F%92%A5", "a" * 500])
async def test_an_order_that_is_not_there_is_not_found(api: Any, order_id: str) -> None:
    assert (await cancel(api, order_id)).code == (404, "order.not-found")
    assert (await cancel(api, order_id, If_Match='"v1"')).code == (404, "order.not-found")
    assert (await cancel(api, order_id, If_Match='"v1", "v2"')).code == (404, "order.not-found")


class TestBodies:
    @pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
    async def test_there_is_nothing_to_say(self, api: Any, waiting: str, body: bytes) -> None:
        assert (await cancel(api, waiting, body)).status == 200

    async def test_an_empty_body_needs_no_type(self, api: Any, waiting: str) -> None:
        assert (await api.post(f"/orders/{waiting}/cancel", b"", media="")).status == 200

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b'{"reason":"changed my mind"}', 422, "request.invalid"),
            (b"[]", 422, "request.invalid"),
            (b'"now"', 422, "request.invalid"),
            (b"{", 400, "request.malformed-json"),
            (b'{"a":1,"a":1}', 400, "request.duplicate-member"),
        ],
    )
    async def test_whatever_else_is_said_is_refused_and_nothing_is_called_off(
        self, api: Any, waiting: str, body: bytes, status: int, code: str
    ) -> None:
        before = (await api.get(f"/orders/{waiting}")).body

        assert (await cancel(api, waiting, body)).code == (status, code)
        assert (await api.get(f"/orders/{waiting}")).body == before

    async def test_another_type_is_refused(self, api: Any, waiting: str) -> None:
        reply = await api.post(f"/orders/{waiting}/cancel", b"{}", media="text/plain")

        assert reply.code == (415, "request.unsupported-media-type")


class TestIfMatch:
    @pytest.fixture
    async def tag(self, api: Any, waiting: str) -> str:
        return str((await api.get(f"/orders/{waiting}")).headers["ETag"])

    @pytest.mark.parametrize(
        "condition", ["{tag}", "*", " * ", '"v99", {tag}', '"other",{tag}', 'W/"x", {tag} ,', "{tag},{tag}"]
    )
    async def test_what_was_seen_is_called_off(self, api: Any, waiting: str, tag: str, condition: str) -> None:
        reply = await cancel(api, waiting, If_Match=condition.format(tag=tag))

        assert (reply.status, reply.body["status"]) == (200, "cancelled")

    @pytest.mark.parametrize(
        "condition",
        [
            '"v99"',
            '"v98", "v99"',
            "W/{tag}",
            '"other"',
            '"v0"',
            '"v01"',
            '"V1"',
            '"v1 "',
            '"v-1"',
            '"v9999999999"',
            '""',
        ],
    )
    async def test_what_was_not_seen_as_it_is_stays(self, api: Any, waiting: str, tag: str, condition: str) -> None:
        reply = await cancel(api, waiting, If_Match=condition.format(tag=tag))

        if condition == '"v1 "':  # a space is no part of an entity tag (RFC 9110, section 8.8.3)
            assert reply.code == (400, "request.invalid-precondition")
        else:
            assert reply.code == (412, "order.stale-version")
            assert f'"v{reply.body["version"]}"' == tag
        assert (await api.get(f"/orders/{waiting}")).headers["ETag"] == tag

    @pytest.mark.parametrize(
        "condition", ["", " ", ",", "v1", '"v1', "'v1'", '*, "v1"', 'w/"v1"', '"v1";"v2"', "* *", "1"]
    )
    async def test_what_is_no_condition_is_refused(self, api: Any, waiting: str, tag: str, condition: str) -> None:
        reply = await cancel(api, waiting, If_Match=condition)

        assert reply.code == (400, "request.invalid-precondition")
        assert (await api.get(f"/orders/{waiting}")).headers["ETag"] == tag

    async def test_lines_make_one_list(self, api: Any, waiting: str, tag: str) -> None:
        reply = await api.post(f"/orders/{waiting}/cancel", headers=[("If-Match", '"v99"'), ("If-Match", tag)])

        assert reply.status == 200

    async def test_the_tag_of_then_is_stale_afterwards_even_if_it_was_ours(
        self, api: Any, waiting: str, tag: str
    ) -> None:
        first = await cancel(api, waiting, If_Match=tag)

        assert (await cancel(api, waiting, If_Match=tag)).code == (412, "order.stale-version")
        assert (await cancel(api, waiting, If_Match=first.headers["ETag"])).status == 200

    async def test_a_stale_tag_is_told_before_an_illegal_transition(self, api: Any) -> None:
        order_id = await api.placed()
        await api.settled(order_id)

        assert (await cancel(api, order_id, If_Match='"v1"')).code == (412, "order.stale-version")
        assert (await cancel(api, order_id, If_Match='"v3"')).code == (409, "order.illegal-transition")

    async def test_of_a_hundred_that_have_seen_the_same_one_is_served(self, api: Any, waiting: str, tag: str) -> None:
        replies = await asyncio.gather(*(cancel(api, waiting, If_Match=tag) for _ in range(100)))

        assert sorted({reply.status for reply in replies}) == [200, 412]
        assert sum(reply.status == 200 for reply in replies) == 1
