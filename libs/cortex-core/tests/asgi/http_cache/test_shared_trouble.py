"""What one client's impatience, and the application's failures, do to those who wait for the same answer."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi.http_cache import SharedAnswerFailed, SharedAnswerTimeout
from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.testing import eventually

Site = Any  # conftest.py


async def waiting(site: Site, count: int) -> list[asyncio.Task[Any]]:
    """So many clients more behind the application's closed gate."""
    site.gate.clear()
    tasks = [asyncio.create_task(site.ask()) for _ in range(count)]
    await eventually(lambda: site.seen)
    for _ in range(50):
        await asyncio.sleep(0)
    return tasks


async def fails(scope: Any, receive: Any, send: Any) -> None:
    raise ConnectionError("down")


async def test_who_is_in_a_hurry_keeps_its_deadline_and_another_asks_for_all_who_wait(site: Site) -> None:
    async def minding_the_deadline(scope: Any, receive: Any, send: Any) -> None:
        deadline = current().deadline
        if deadline is not None:
            await site.clock.sleep(deadline - site.clock.monotonic())
            raise TimeoutError
        site.handler = None
        await site.app(scope, receive, send)

    site.handler = minding_the_deadline
    hasty = []
    for seconds in (1, 2, 3, 4):  # more than two failures, and more rounds than there are for anything else
        with use_context(deadline=site.clock.monotonic() + seconds):
            hasty += await waiting(site, 1)
    others = await waiting(site, 100)
    site.gate.set()

    for _ in hasty:
        await site.clock.advance(1)
        for _ in range(200):
            await asyncio.sleep(0)

    outcomes = await asyncio.gather(*hasty, return_exceptions=True)
    assert {type(each) for each in outcomes} <= {TimeoutError, SharedAnswerTimeout}
    assert {reply.body for reply in await asyncio.gather(*others)} == {b"hello"}
    assert len(site.seen) <= 4 + 2


async def test_a_failure_just_before_the_deadline_is_the_deadlines(site: Site) -> None:
    deadline = site.clock.monotonic() + 1
    site.answers(504, b"")
    with use_context(deadline=deadline):
        hasty = await waiting(site, 1)
    others = await waiting(site, 3)
    await site.clock.advance(0.96)
    site.gate.set()

    replies = await asyncio.gather(*hasty, *others, return_exceptions=True)

    assert [getattr(each, "status", None) for each in replies] == [
        504,
        504,
        504,
        None,
    ]  # his, and two that are failures


async def test_two_failures_are_enough_for_all_who_wait(site: Site) -> None:
    site.answers(503, b"busy", Cache_Control="private", Retry_After="7")
    tasks = await waiting(site, 200)
    site.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert len(site.seen) == 2
    assert [each.status for each in outcomes[:2]] == [503, 503]
    assert {type(each) for each in outcomes[2:]} == {SharedAnswerFailed}
    failed = outcomes[2]
    assert isinstance(failed, CortexError)
    assert (failed.kind, failed.retry_after, failed.details) == (Kind.UNAVAILABLE, 7.0, {"status": 503})


@pytest.mark.parametrize("value", ["soon", "", "-1", "٣", "9" * 30])
async def test_a_failure_without_seconds_to_wait_names_none(site: Site, value: str) -> None:
    site.answers(503, b"busy", Retry_After=value.encode().decode("latin-1"))
    tasks = await waiting(site, 3)
    site.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert outcomes[2].retry_after is None  # type: ignore[union-attr]


async def test_an_application_that_raises_is_asked_once_more_for_all_who_wait(site: Site) -> None:
    site.handler = fails
    tasks = await waiting(site, 50)
    site.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert len(site.seen) == 2
    assert [type(each) for each in outcomes[:2]] == [ConnectionError] * 2
    assert {(type(each), type(each.__cause__)) for each in outcomes[2:]} == {  # type: ignore[union-attr]
        (SharedAnswerFailed, ConnectionError)
    }


class Busy(CortexError):
    code, kind = "busy", Kind.UNAVAILABLE


class NotYours(CortexError):
    code, kind = "not-yours", Kind.FORBIDDEN


@pytest.mark.parametrize(("error", "asked"), [(Busy("busy", retry_after=3.0), 2), (NotYours("not yours"), 5)])
async def test_an_error_with_a_meaning_is_shared_where_it_is_the_applications_trouble(
    site: Site, error: CortexError, asked: int
) -> None:
    async def raising(scope: Any, receive: Any, send: Any) -> None:
        raise error

    site.handler = raising
    tasks = await waiting(site, 5)
    site.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert (outcomes, len(site.seen)) == ([error] * 5, asked)


async def test_when_the_one_more_succeeds_all_have_its_answer(site: Site) -> None:
    site.handler = fails
    tasks = await waiting(site, 50)
    site.handler, handler = None, site.handler

    async def once(scope: Any, receive: Any, send: Any) -> None:
        site.handler = None
        await handler(scope, receive, send)

    site.handler = once
    site.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert len(site.seen) == 2
    assert [type(each) for each in outcomes[:1]] == [ConnectionError]
    assert {reply.body for reply in outcomes[1:]} == {b"hello"}  # type: ignore[union-attr]
