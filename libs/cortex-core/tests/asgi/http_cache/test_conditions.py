"""A client's conditions: the cache's to judge over what it stores, the application's over what it may not."""

from typing import Any

import pytest

Site = Any  # conftest.py
PRIVATE = "private, max-age=60"


@pytest.mark.parametrize("says", ["no-store", "private", "max-age=0"])
async def test_no_date_of_change_is_made_up_for_what_is_not_stored(site: Site, says: str) -> None:
    site.answers(Cache_Control=says)

    reply = await site.ask(if_modified_since=site.http_date(10))

    assert (reply.status, reply.body) == (200, b"hello")


async def test_what_is_being_stored_changed_when_it_was_made(site: Site) -> None:
    assert (await site.ask(if_modified_since=site.http_date(10))).status == 304
    site.answers(Cache_Control="max-age=60", Date="")
    assert (await site.ask("/undated", if_modified_since=site.http_date(10))).status == 304


async def test_a_date_of_change_is_believed_of_what_is_not_stored(site: Site) -> None:
    site.answers(Cache_Control="private", Last_Modified=site.http_date(-10))

    assert (await site.ask(if_modified_since=site.http_date(-5))).status == 304


@pytest.mark.parametrize("name", ["if_none_match", "if_modified_since"])
async def test_conditions_reach_the_application_of_what_can_never_be_stored(site: Site, name: str) -> None:
    condition = '"a"' if name == "if_none_match" else site.http_date()
    site.answers(Cache_Control=PRIVATE, ETag='"a"', Last_Modified=site.http_date())
    await site.ask()
    await site.clock.advance(3599)  # long after others could wait for it again
    site.seen.clear()
    site.answers(304, b"", Cache_Control=PRIVATE, ETag='"a"')

    replies = [await site.ask(**{name: condition}) for _ in range(3)]

    assert [each[name.replace("_", "-")] for each in site.seen] == [condition] * 3
    assert {(reply.status, reply.body, reply["etag"]) for reply in replies} == {(304, b"", '"a"')}
    assert {reply["cache-status"] for reply in replies} == {"cortex; fwd=uri-miss; fwd-status=304"}


async def test_a_part_is_not_asked_for_on_the_condition_of_another(site: Site) -> None:
    site.answers(Cache_Control=PRIVATE)
    await site.ask()
    site.seen.clear()

    await site.ask(if_none_match='"a"', if_range='"a"')

    assert {"if-none-match", "if-range"} & site.seen[0].keys() == {"if-none-match"}


async def test_after_an_hour_the_application_is_asked_for_all_of_it_again(site: Site) -> None:
    site.answers(Cache_Control=PRIVATE, ETag='"a"')
    await site.ask()
    await site.clock.advance(1800)
    site.answers(304, b"", ETag='"a"')
    await site.ask(if_none_match='"a"')
    await site.clock.advance(1800)
    site.seen.clear()

    await site.ask(if_none_match='"a"')

    assert "if-none-match" not in site.seen[0]


async def test_conditions_over_what_is_stored_stay_the_caches(site: Site) -> None:
    site.answers(Cache_Control="no-cache", ETag='"a"')
    await site.ask()
    site.seen.clear()
    site.answers(304, b"", Cache_Control="no-cache", ETag='"a"')

    reply = await site.ask(if_none_match='"b"')

    assert (reply.status, reply.body) == (200, b"hello")
    assert site.seen[0]["if-none-match"] == '"a"'


async def test_once_an_answer_can_be_stored_the_cache_judges_again(site: Site) -> None:
    site.answers(Cache_Control=PRIVATE)
    await site.ask()
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.cache.clear()
    site.seen.clear()

    assert (await site.ask(if_none_match='"a"')).status == 304

    assert "if-none-match" not in site.seen[0]


async def test_who_asks_with_a_condition_of_its_own_is_waited_for_by_nobody(site: Site) -> None:
    site.answers(Cache_Control=PRIVATE)
    await site.ask()
    await site.clock.advance(11)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        assert site.cache._flights._shared == {}
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body"})

    site.handler = slow
    assert (await site.ask(if_none_match='"a"')).status == 304


async def test_what_is_only_stale_and_gone_is_asked_for_whole(site: Site) -> None:
    site.answers(Cache_Control="no-cache", ETag='"a"')
    await site.ask()
    await site.cache.clear()
    site.seen.clear()

    assert (await site.ask(if_none_match='"a"')).status == 304

    assert "if-none-match" not in site.seen[0]
