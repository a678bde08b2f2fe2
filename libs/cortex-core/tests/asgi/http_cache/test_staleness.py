"""Stale while it is revalidated, stale while the application fails (RFC 5861)."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi.http_cache import Outcome, RefreshFailed
from cortex_core.kernel import current, use_context
from cortex_core.testing import eventually

Site = Any  # conftest.py
WHILE = "max-age=60, stale-while-revalidate=30"
ON_ERROR = "max-age=60, stale-if-error=600"


async def stale(site: Site, says: str, seconds: float = 61, **headers: str) -> None:
    """An answer that has been in the store for so long."""
    site.answers(200, b"old", Cache_Control=says, **headers)
    await site.ask()
    await site.clock.advance(seconds)
    site.seen.clear()
    site.hooks.answers.clear()


async def test_a_stale_answer_is_served_at_once_and_refreshed_behind_the_clients_back(site: Site) -> None:
    await stale(site, WHILE)
    site.answers(200, b"new", Cache_Control=WHILE)

    served = await site.ask()

    assert (served.body, served["cache-status"], served["age"]) == (b"old", "cortex; hit; ttl=-1", "61")
    assert site.hooks.answers[0].outcome is Outcome.STALE
    await eventually(lambda: site.seen)
    await eventually(lambda: not site.cache._flights._tasks)
    assert (await site.ask()).body == b"new"
    assert len(site.seen) == 1


async def test_it_is_refreshed_by_one_at_a_time(site: Site) -> None:
    await stale(site, WHILE)
    site.gate.clear()

    replies = await asyncio.gather(*(site.ask() for _ in range(100)))

    assert {reply.body for reply in replies} == {b"old"}
    assert len(site.seen) == 1
    site.gate.set()


async def test_it_is_refreshed_by_asking_whether_it_still_holds(site: Site) -> None:
    await stale(site, WHILE, ETag='"a"')
    site.answers(304, b"")

    await site.ask(if_none_match='"b"', range="bytes=0-0")
    await eventually(lambda: site.seen)
    await eventually(lambda: not site.cache._flights._tasks)

    assert site.seen[0]["if-none-match"] == '"a"'
    assert "range" not in site.seen[0]
    assert (await site.ask())["cache-status"] == "cortex; hit; ttl=60"


async def test_a_head_refreshes_the_whole_answer(site: Site) -> None:
    await stale(site, WHILE)

    await site.ask(method="HEAD")
    await eventually(lambda: site.seen)

    assert site.seen[0]["method"] == "GET"


async def test_after_its_window_a_stale_answer_is_waited_for(site: Site) -> None:
    await stale(site, WHILE, 90)
    site.answers(200, b"new", Cache_Control=WHILE)

    assert (await site.ask()).body == b"new"


async def test_the_client_that_caused_a_refresh_leaves_its_deadline_behind_and_its_tenant_not(site: Site) -> None:
    seen: list[Any] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current())

    with use_context(tenant="acme", deadline=site.clock.monotonic() + 1000):
        await stale(site, WHILE)
        site.handler = looking
        await site.ask()
        await eventually(lambda: seen)

    assert (seen[0].tenant, seen[0].deadline) == ("acme", None)


async def test_refreshes_are_bounded_in_number(site: Site) -> None:
    site.build(refreshes=2)
    for path in "abc":
        await site.ask(f"/{path}")
    site.answers(200, b"old", Cache_Control=WHILE)
    await site.cache.clear()
    for path in "abc":
        await site.ask(f"/{path}")
    await site.clock.advance(61)
    site.seen.clear()
    site.gate.clear()

    for path in "abc":
        assert (await site.ask(f"/{path}")).body == b"old"
    await asyncio.sleep(0)

    assert [each["path"] for each in site.seen] == ["/a", "/b"]
    site.gate.set()


async def test_refreshes_are_bounded_in_time(site: Site) -> None:
    site.build(refresh_timeout=5)
    await stale(site, WHILE)
    site.gate.clear()
    await site.ask()
    await eventually(lambda: site.seen)

    await site.clock.advance(5)

    await eventually(lambda: site.hooks.errors)
    [failure] = site.hooks.errors
    assert failure.work == "refresh"
    assert isinstance(failure.error, RefreshFailed)
    assert str(failure.error) == "the application gave no answer"
    site.gate.set()
    await site.ask()
    await eventually(lambda: len(site.seen) == 2)


@pytest.mark.parametrize("fails", ["raises", "answers 503"])
async def test_a_refresh_that_fails_is_told_and_costs_nobody_anything(site: Site, fails: str) -> None:
    await stale(site, WHILE)

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionError("down")

    if fails == "raises":
        site.handler = raising
    site.answers(503)

    assert (await site.ask()).body == b"old"
    await eventually(lambda: site.hooks.errors)

    assert site.hooks.errors[0].work == "refresh"
    assert str(site.hooks.errors[0].error) == ("down" if fails == "raises" else "the application answered 503")
    assert (await site.ask()).body == b"old"


async def test_a_refresh_with_an_endless_answer_is_given_up(site: Site) -> None:
    await stale(site, WHILE)
    ended: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0)
        finally:
            ended.append("ended")

    site.handler = endless
    await site.ask()

    await eventually(lambda: ended)


async def test_a_refresh_has_no_client_that_could_leave(site: Site) -> None:
    await stale(site, WHILE)
    heard: list[str] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        heard.append("listens")
        heard.append((await receive())["type"])

    site.handler = listening
    await site.ask()
    await eventually(lambda: heard)
    for _ in range(20):
        await asyncio.sleep(0)

    assert heard == ["listens"]


async def test_closing_ends_refreshes(site: Site) -> None:
    await stale(site, WHILE)
    site.gate.clear()
    await site.ask()
    await eventually(lambda: site.seen)

    await site.cache.aclose()

    assert not site.cache._flights._tasks
    assert site.hooks.errors == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_what_is_stale_stands_in_for_a_failing_application(site: Site, status: int) -> None:
    await stale(site, ON_ERROR)
    site.answers(status, b"broken")

    reply = await site.ask()

    assert (reply.status, reply.body) == (200, b"old")
    assert reply["cache-status"] == f"cortex; fwd=stale; fwd-status={status}; detail=stale-if-error"
    assert site.hooks.answers[0].outcome is Outcome.STALE


@pytest.mark.parametrize("status", [400, 404, 429, 501])
async def test_what_is_not_a_failure_is_passed_on(site: Site, status: int) -> None:
    await stale(site, ON_ERROR)
    site.answers(status, b"no")

    assert (await site.ask()).status == status


async def test_what_is_stale_stands_in_for_an_application_that_raises(site: Site) -> None:
    await stale(site, ON_ERROR)

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionError("down")

    site.handler = raising

    reply = await site.ask()

    assert (reply.body, reply["cache-status"]) == (b"old", "cortex; fwd=stale; detail=stale-if-error")
    assert [(each.work, str(each.error)) for each in site.hooks.errors] == [("answer", "down")]


async def test_all_who_wait_get_what_stands_in_and_the_application_is_spared(site: Site) -> None:
    await stale(site, ON_ERROR)
    site.answers(503)
    site.gate.clear()
    tasks = [asyncio.create_task(site.ask()) for _ in range(50)]
    await eventually(lambda: site.seen)
    await asyncio.sleep(0)
    site.gate.set()

    assert {reply.body for reply in await asyncio.gather(*tasks)} == {b"old"}
    assert len(site.seen) == 1


@pytest.mark.parametrize(("seconds", "status"), [(659, 200), (660, 503)])
async def test_it_stands_in_within_its_window_only(site: Site, seconds: float, status: int) -> None:
    await stale(site, ON_ERROR, seconds, ETag='"a"')
    site.answers(503)

    assert (await site.ask()).status == status


@pytest.mark.parametrize("forbids", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
async def test_nothing_stands_in_where_the_answer_forbids_it(site: Site, forbids: str) -> None:
    await stale(site, f"{ON_ERROR}, {forbids}", ETag='"a"')
    site.answers(503)

    assert (await site.ask()).status == 503


async def test_the_policy_may_let_it_stand_in_where_the_answer_says_nothing(site: Site) -> None:
    site.build(stale_if_error=600)
    await stale(site, "max-age=60")
    site.answers(503)

    assert (await site.ask()).body == b"old"


async def test_what_stands_in_is_given_to_a_client_as_it_asks(site: Site) -> None:
    await stale(site, ON_ERROR, ETag='"a"')
    site.answers(503)

    assert (await site.ask(if_none_match='"a"')).status == 304
