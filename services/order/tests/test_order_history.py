"""Looking back: what has happened to an order, how it once stood, and whether it still stands as a client has it."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from cortex_order.settings import Settings

NOBODY = "ord_" + "0" * 32
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = [NOBODY, "ord_1", "nonsense", "ord_" + "Z" * 32, "%01", "a" * 500]


@pytest.fixture
async def completed(api: Any) -> str:
    """A completed order, placed within the trace."""
    api.client.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
    order_id = str(await api.placed())
    del api.client.headers["traceparent"]
    await api.settled(order_id)
    return order_id


async def spoil(settings: Settings, statement: str) -> None:
    """In a thread: whoever is writing needs the loop to come to an end."""

    def execute() -> None:
        with closing(sqlite3.connect(make_url(settings.database_url).database or "")) as database:
            assert database.execute(statement).rowcount
            database.commit()

    await asyncio.to_thread(execute)


class TestEvents:
    async def test_everything_that_has_happened_is_told_the_oldest_first(self, api: Any, completed: str) -> None:
        reply = await api.get(f"/orders/{completed}/events")

        created, started, ended = reply.body["events"]
        assert reply.status == 200
        assert created == {
            "type": "order.created",
            "version": 1,
            "time": "2026-11-23T12:00:00.000000Z",
            "traceId": TRACE,
            "data": {
                "customerId": "cus_1",
                "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
                "total": 2500,
                "currency": "EUR",
                "createdAt": "2026-11-23T12:00:00.000000Z",
            },
        }
        assert (started["type"], started["version"], started["data"]) == ("order.processing.started", 2, {})
        assert (ended["type"], ended["version"]) == ("order.completed", 3)
        assert ended["data"] == {"chargeId": f"ch_{completed}", "processingTime": 0.0}
        assert {each["traceId"] for each in reply.body["events"]} == {TRACE}

    async def test_an_event_without_a_trace_says_so(self, api: Any, settings: Settings, completed: str) -> None:
        await spoil(settings, 'UPDATE events SET metadata = \'{"traceparent":"nonsense"}\' WHERE version = 1')
        await spoil(settings, "UPDATE events SET metadata = '{}' WHERE version = 2")

        events = (await api.get(f"/orders/{completed}/events")).body["events"]

        assert [each["traceId"] for each in events] == [None, None, TRACE]

    async def test_they_come_page_by_page(self, api: Any, completed: str) -> None:
        pages = [
            [each["version"] for each in (await api.get(f"/orders/{completed}/events?{query}")).body["events"]]
            for query in (
                "limit=2",
                "limit=2&after=2",
                "after=3",
                "after=1&limit=1",
                "after=&limit=",
                f"after={10**30}",
            )
        ]

        assert pages == [[1, 2], [3], [], [2], [1, 2, 3], []]

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=-1", "after=x", "limit=x", "after=1.5"])
    async def test_a_page_that_there_cannot_be_is_refused(self, api: Any, completed: str, query: str) -> None:
        assert (await api.get(f"/orders/{completed}/events?{query}")).code == (422, "request.invalid")

    @pytest.mark.parametrize("order_id", IDS)
    async def test_of_no_order_there_are_none(self, api: Any, order_id: str) -> None:
        assert (await api.get(f"/orders/{order_id}/events")).code == (404, "order.not-found")
        assert (await api.get(f"/orders/{order_id}/events?after=5")).code == (404, "order.not-found")

    async def test_a_member_that_nobody_knows_is_not_told(self, api: Any, settings: Settings, completed: str) -> None:
        await spoil(settings, 'UPDATE events SET data = \'{"cardNumber":"4111"}\' WHERE version = 2')

        reply = await api.get(f"/orders/{completed}/events")

        assert reply.body["events"][1]["data"] == {}
        assert "4111" not in str(reply)

    async def test_a_corrupt_event_is_named_and_no_other_order_suffers(
        self, api: Any, settings: Settings, completed: str
    ) -> None:
        other = await api.placed()
        await api.settled(other)
        await spoil(
            settings, f"UPDATE events SET data = '{{\"total\":\"a lot\"}}' WHERE version = 1 AND stream = '{completed}'"
        )

        for path in (f"/orders/{completed}/events", f"/orders/{completed}", f"/orders/{completed}?version=1"):
            assert (await api.get(path)).code == (500, "event-store.corrupt-event")
        assert (await api.get(f"/orders/{other}/events")).status == 200

    async def test_the_payment_token_is_not_among_them(self, api: Any, order: dict[str, Any], completed: str) -> None:
        assert order["paymentToken"] not in str(await api.get(f"/orders/{completed}/events"))


class TestTimeTravel:
    async def test_an_order_is_shown_as_it_stood_at_each_version(self, api: Any, completed: str) -> None:
        now = (await api.get(f"/orders/{completed}")).body

        shown = [(await api.get(f"/orders/{completed}?version={version}")).body for version in (1, 2, 3)]

        assert [(each["status"], each["version"]) for each in shown] == [
            ("pending", 1),
            ("processing", 2),
            ("completed", 3),
        ]
        assert shown[2] == now
        assert {each["createdAt"] for each in shown} == {now["createdAt"]}

    async def test_it_can_be_kept_for_good_and_how_it_stands_cannot(self, api: Any, completed: str) -> None:
        then, now = await api.get(f"/orders/{completed}?version=1"), await api.get(f"/orders/{completed}?version=")

        assert (then.headers["ETag"], now.headers["ETag"]) == ('"v1"', '"v3"')
        assert then.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert now.headers["Cache-Control"] == "private, no-cache"

    @pytest.mark.parametrize("version", ["4", "2147483648", str(2**63), "9" * 400])
    async def test_what_is_yet_to_come_is_not_found(self, api: Any, completed: str, version: str) -> None:
        reply = await api.get(f"/orders/{completed}?version={version}")

        assert reply.code == (404, "order.version-not-found")
        assert reply.body["newest"] == 3

    @pytest.mark.parametrize("version", ["0", "-1", "x", "1e1", "1.5", "v1", "9" * 5000, "%00", "%EF%BC%91%20"])
    async def test_what_is_no_version_is_refused(self, api: Any, completed: str, version: str) -> None:
        assert (await api.get(f"/orders/{completed}?version={version}")).code == (422, "request.invalid")

    @pytest.mark.parametrize("order_id", IDS)
    async def test_an_order_that_is_not_there_never_was(self, api: Any, order_id: str) -> None:
        assert (await api.get(f"/orders/{order_id}?version=1")).code == (404, "order.not-found")


class TestConditions:
    async def test_every_answer_that_shows_an_order_has_its_tag(self, api: Any) -> None:
        placed = await api.place()
        await api.settled(placed.body["orderId"])

        shown = await api.get(f"/orders/{placed.body['orderId']}")

        assert (placed.headers["ETag"], shown.headers["ETag"]) == ('"v1"', '"v3"')

    @pytest.mark.parametrize("known", ['"v3"', 'W/"v3"', "*", '"v1", "v3"', '"x",W/"v3"'])
    async def test_who_has_it_is_not_sent_it_again(self, api: Any, completed: str, known: str) -> None:
        for query in ("", "?version=3"):
            reply = await api.get(f"/orders/{completed}{query}", {"If-None-Match": known})

            assert (reply.status, reply.body) == (304, None)
            assert (reply.headers["ETag"], reply.headers["Cache-Control"][:7]) == ('"v3"', "private")

    @pytest.mark.parametrize("known", ['"v2"', '"v1", "v2"', "v3", '"v33"', "", "nonsense", '"v3'])
    async def test_who_has_it_not_is_sent_it(self, api: Any, completed: str, known: str) -> None:
        reply = await api.get(f"/orders/{completed}", {"If-None-Match": known})

        assert (reply.status, reply.body["version"]) == (200, 3)

    async def test_lines_make_one_list(self, api: Any, completed: str) -> None:
        lines = [("If-None-Match", '"v1"'), ("If-None-Match", '"v3"')]

        assert (await api.get(f"/orders/{completed}", lines)).status == 304

    async def test_what_is_not_there_is_not_unchanged_either(self, api: Any, completed: str) -> None:
        assert (await api.get(f"/orders/{NOBODY}", {"If-None-Match": "*"})).status == 404
        assert (await api.get(f"/orders/{completed}?version=4", {"If-None-Match": "*"})).status == 404

    async def test_head_says_the_same(self, api: Any, completed: str) -> None:
        async with api.client.head(f"/orders/{completed}") as answer:
            assert (answer.status, answer.headers["ETag"]) == (200, '"v3"')
