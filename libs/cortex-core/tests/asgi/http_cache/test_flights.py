"""One request to the application for all who want its answer."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi.http_cache import Outcome, SharedAnswerTimeout
from cortex_core.kernel import use_context
from cortex_core.testing import eventually

Site = Any  # conftest.py


async def many(site: Site, count: int, **headers: Any) -> list[asyncio.Task[Any]]:
    """So many clients, all of whom wait for the application behind its closed gate."""
    site.gate.clear()
    tasks = [asyncio.create_task(site.ask(**headers)) for _ in range(count)]
    await eventually(lambda: site.seen)
    await settled()
    return tasks


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_thousand_requests_for_a_cold_key_reach_the_application_once(site: Site) -> None:
    tasks = await many(site, 1000)
    site.gate.set()

    replies = await asyncio.gather(*tasks)

    assert len(site.seen) == 1
    assert {(reply.status, reply.body) for reply in replies} == {(200, b"hello")}
    assert replies[0]["cache-status"] == "cortex; fwd=uri-miss; fwd-status=200; stored"
    assert {reply["cache-status"] for reply in replies[1:]} == {
        "cortex; fwd=uri-miss; fwd-status=200; stored; collapsed"
    }
    assert sum(details.collapsed for details in site.hooks.answers) == 999


async def test_a_thousand_requests_for_a_stale_key_validate_it_once(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.seen.clear()
    site.answers(304, b"")
    tasks = await many(site, 1000)
    site.gate.set()

    replies = await asyncio.gather(*tasks)

    assert len(site.seen) == 1
    assert {(reply.status, reply.body) for reply in replies} == {(200, b"hello")}
    assert {each.outcome for each in site.hooks.answers[1:]} == {Outcome.REVALIDATED}


async def test_variants_are_asked_for_once_each(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Vary="Accept")
    site.gate.clear()
    tasks = [asyncio.create_task(site.ask(accept=str(number % 4))) for number in range(400)]
    await eventually(lambda: site.seen)
    site.gate.set()

    await asyncio.gather(*tasks)

    assert sorted(each["accept"] for each in site.seen) == ["0", "1", "2", "3"]


async def test_the_followers_of_an_answer_that_cannot_be_shared_go_on_their_own(site: Site) -> None:
    site.answers(Cache_Control="private")
    tasks = await many(site, 10)
    assert len(site.seen) == 1
    site.gate.set()

    replies = await asyncio.gather(*tasks)

    assert len(site.seen) == 10
    assert not any(details.collapsed for details in site.hooks.answers)
    assert {reply.status for reply in replies} == {200}


@pytest.mark.parametrize("says", ["private", "no-cache", "max-age=0"])
async def test_after_an_answer_that_cannot_be_shared_nobody_waits_for_the_next(site: Site, says: str) -> None:
    site.answers(Cache_Control=says, ETag='"a"')
    await site.ask()
    site.seen.clear()
    tasks = await many(site, 10)
    assert len(site.seen) == 10
    site.gate.set()
    await asyncio.gather(*tasks)

    await site.clock.advance(10)
    site.seen.clear()
    tasks = await many(site, 10)
    assert len(site.seen) == 1
    site.gate.set()
    await asyncio.gather(*tasks)


async def test_once_an_answer_can_be_shared_others_wait_again(site: Site) -> None:
    site.answers(Cache_Control="private")
    await site.ask()
    site.answers(Cache_Control="max-age=60")
    await site.ask()
    await site.clock.advance(61 - 60)
    await site.cache.clear()
    site.seen.clear()

    tasks = await many(site, 10)

    assert len(site.seen) == 1
    site.gate.set()
    await asyncio.gather(*tasks)


async def test_the_keys_nobody_waits_for_are_bounded(site: Site) -> None:
    site.answers(Cache_Control="private")
    for number in range(4200):
        await site.ask(f"/{number}")

    assert len(site.cache._flights._alone) == 4096


async def test_an_answer_that_may_not_be_reused_is_asked_for_by_each(site: Site) -> None:
    site.answers(Cache_Control="no-cache", ETag='"a"')
    tasks = await many(site, 5)
    site.gate.set()

    await asyncio.gather(*tasks)

    assert len(site.seen) == 5


async def test_a_leader_that_is_cancelled_does_not_take_the_others_along(site: Site) -> None:
    leader, *followers = await many(site, 10)
    leader.cancel()
    await settled()
    site.gate.set()

    replies = await asyncio.gather(*followers)

    assert len(site.seen) == 1
    assert {reply.body for reply in replies} == {b"hello"}
    assert leader.cancelled()


async def test_when_all_have_left_the_application_is_cancelled(site: Site) -> None:
    ended: list[BaseException] = []

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended.append(error)
            raise

    site.handler = patient
    tasks = [asyncio.create_task(site.ask()) for _ in range(3)]
    await eventually(lambda: site.seen)
    await settled()

    for task in tasks[:2]:
        task.cancel()
    await settled()
    assert not ended
    tasks[2].cancel()
    await eventually(lambda: ended)


async def test_a_follower_waits_no_longer_than_its_deadline(site: Site) -> None:
    leader, *_ = await many(site, 1)
    with use_context(deadline=site.clock.monotonic() + 2):
        follower = asyncio.create_task(site.ask())
    await eventually(lambda: site.clock.sleepers)

    await site.clock.advance(2)

    with pytest.raises(SharedAnswerTimeout) as caught:
        await follower
    assert (caught.value.attempted, caught.value.retryable) == (False, True)
    site.gate.set()
    assert (await leader).status == 200


async def test_at_its_deadline_a_follower_takes_what_is_stale_where_that_is_allowed(site: Site) -> None:
    site.answers(Cache_Control="max-age=60, stale-if-error=600")
    await site.ask()
    await site.clock.advance(61)
    site.seen.clear()
    leader, *_ = await many(site, 1)
    with use_context(deadline=site.clock.monotonic() + 2):
        follower = asyncio.create_task(site.ask())
    await eventually(lambda: site.clock.sleepers)

    await site.clock.advance(2)

    assert (await follower)["cache-status"] == "cortex; fwd=stale; detail=stale-if-error"
    site.gate.set()
    await leader


async def test_a_follower_goes_on_its_own_after_the_longest_wait(site: Site) -> None:
    site.build(collapse_wait=3)
    leader, follower = await many(site, 2)
    assert len(site.seen) == 1

    await site.clock.advance(3)
    await settled()

    assert len(site.seen) == 2
    site.gate.set()
    assert (await follower).status == (await leader).status == 200


async def test_a_request_for_a_new_answer_does_not_wait_for_an_old_question(site: Site) -> None:
    early, *_ = await many(site, 1)

    for wish in ("no-cache", "max-age=0"):
        site.seen.clear()
        late = asyncio.create_task(site.ask(cache_control=wish))
        await eventually(lambda: site.seen)
        late.cancel()

    site.gate.set()
    assert (await early).status == 200


async def test_answers_invalidated_again_and_again_are_fetched_all_the_same(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Cache_Tag="orders")
    put = site.store.put

    async def overtaken(*arguments: Any) -> Any:
        await site.store.invalidate(keys=[arguments[0]])
        return await put(*arguments)

    site.store.put = overtaken
    tasks = await many(site, 20)
    site.gate.set()

    replies = await asyncio.gather(*tasks)

    assert {reply.body for reply in replies} == {b"hello"}
    assert len(site.store) == 0
    assert len(site.seen) == 20


async def test_nobody_waits_for_more_than_two_answers_that_were_invalidated_in_flight(site: Site) -> None:
    put, asked, most = site.store.put, 0, 0

    async def overtaken(*arguments: Any) -> Any:
        await site.store.invalidate(keys=[arguments[0]])
        return await put(*arguments)

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await settled()
        asked -= 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hello"})

    site.store.put, site.handler = overtaken, counting
    tasks = await many(site, 20)
    site.gate.set()
    await asyncio.gather(*tasks)

    assert (len(site.seen), most) == (20, 18)  # two by one of them, then the rest at once


async def test_closing_ends_what_nobodys_own_request_waits_for(site: Site) -> None:
    leader, follower = await many(site, 2)
    await site.cache.aclose()
    assert len(site.cache._flights._tasks) == 1
    leader.cancel()
    await settled()

    await site.cache.aclose()
    site.gate.set()

    assert (await follower).body == b"hello"  # on its own
    assert len(site.seen) == 2


async def test_a_change_in_one_tenant_leaves_what_is_asked_for_another(site: Site) -> None:
    site.gate.clear()
    first = asyncio.create_task(site.ask())
    await eventually(lambda: len(site.seen) == 1)

    await site.cache.invalidate(["orders"], tenant="acme")
    second = asyncio.create_task(site.ask())
    await asyncio.sleep(0)
    site.gate.set()

    assert (await first).body == (await second).body == b"hello"
    assert len(site.seen) == 1  # they shared it
