"""304 where the client holds it already; parts of what is stored; asking the application whether it still holds."""

import json
from typing import Any

import pytest

from cortex_core.asgi.http_cache import Outcome

Site = Any  # conftest.py


@pytest.mark.parametrize(
    ("etag", "sent", "status"),
    [
        ('"a"', '"a"', 304),
        ('"a"', 'W/"a"', 304),
        ('W/"a"', '"a"', 304),
        ('"a"', '"b"', 200),
        ('"a"', '"b", "a"', 304),
        ('"a"', '"b" , W/"a","c"', 304),
        ('"a"', ['"b"', '"a"'], 304),
        ('"a"', "*", 304),
        ('"a"', " * ", 304),
        ('"a,b"', '"a,b"', 304),
        ('"a"', "a", 200),
        ('"a"', '"b", a', 200),
        ('"a"', 'w/"a"', 200),
        ('"a"', "", 200),
        ('"\xe4"', '"\xe4"', 304),
        ("a", '"a"', 200),
        ("a", "a", 200),
    ],
)
async def test_if_none_match_compares_weakly(site: Site, etag: str, sent: Any, status: int) -> None:
    site.answers(Cache_Control="max-age=60", ETag=etag)
    await site.ask()

    for _ in range(2):
        assert (await site.ask(if_none_match=sent)).status == status
    assert len(site.seen) == 1


async def test_a_304_says_what_the_answer_would_and_nothing_about_a_body(site: Site) -> None:
    site.answers(
        Cache_Control="max-age=60",
        ETag='"a"',
        Vary="Accept",
        Content_Type="text/plain",
        Content_Length="5",
        Content_Location="/x",
        Last_Modified=site.http_date(-100),
        Expires=site.http_date(9),
    )
    await site.ask()

    reply = await site.ask(if_none_match='"a"')

    names = {name for name, _ in reply.headers}
    assert names == {"date", "cache-control", "etag", "vary", "content-location", "expires", "age", "cache-status"}
    assert (reply.body, reply.complete) == (b"", True)


@pytest.mark.parametrize(
    ("changed", "since", "status"),
    [(-100, -100, 304), (-100, -99, 304), (-100, -101, 200), (None, 0, 304), (None, -1, 200)],
)
async def test_if_modified_since_looks_at_last_modified_or_else_the_date(
    site: Site, changed: int | None, since: int, status: int
) -> None:
    more = {} if changed is None else {"Last_Modified": site.http_date(changed)}
    site.answers(Cache_Control="max-age=60", **more)
    await site.ask()

    assert (await site.ask(if_modified_since=site.http_date(since))).status == status


async def test_if_none_match_has_precedence(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"', Last_Modified=site.http_date(-100))
    await site.ask()

    assert (await site.ask(if_none_match='"b"', if_modified_since=site.http_date())).status == 200


async def test_only_a_success_can_be_unchanged(site: Site) -> None:
    site.answers(404, Cache_Control="max-age=60", ETag='"a"')
    await site.ask()

    assert (await site.ask(if_none_match='"a"')).status == 404


async def test_a_cold_conditional_request_fetches_all_and_answers_304(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')

    reply = await site.ask(if_none_match='"a"', if_modified_since=site.http_date())

    assert (reply.status, reply.body, reply.complete) == (304, b"", True)
    assert not {"if-none-match", "if-modified-since"} & site.seen[0].keys()
    assert (await site.ask()).body == b"hello"
    assert len(site.seen) == 1


async def test_a_stale_answer_is_validated_and_fresh_again(site: Site) -> None:
    changed = site.http_date(-100)
    site.answers(
        Cache_Control="max-age=60", ETag='"a"', Last_Modified=changed, X_Kept="kept", Content_Type="text/plain"
    )
    await site.ask()
    await site.clock.advance(61)
    site.answers(304, b"", Cache_Control="max-age=30", ETag='"a"', X_New="new", Content_Type="wrong/type")

    reply = await site.ask()

    assert (site.seen[1]["if-none-match"], site.seen[1]["if-modified-since"]) == ('"a"', changed)
    assert (reply.status, reply.body, reply["x-kept"], reply["x-new"]) == (200, b"hello", "kept", "new")
    assert (reply["cache-status"], reply["age"]) == ("cortex; fwd=stale; fwd-status=304; stored", "0")
    assert (reply["cache-control"], reply["content-type"], reply["date"]) == (
        "max-age=30",
        "text/plain",
        site.http_date(),
    )
    assert site.hooks.answers[-1].outcome is Outcome.REVALIDATED
    assert (await site.ask())["cache-status"] == "cortex; hit; ttl=30"


async def test_a_304_without_date_and_age_starts_the_age_anew(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"', Age="50")
    await site.ask()
    await site.clock.advance(20)
    site.answers(304, b"", Date="")

    await site.ask()

    assert (await site.ask())["cache-status"] == "cortex; hit; ttl=60"


async def test_a_client_that_holds_the_validated_answer_gets_304(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.answers(304, b"")

    assert (await site.ask(if_none_match='"a"')).status == 304
    assert (await site.ask(if_none_match='"b"')).status == 200


async def test_a_changed_answer_takes_the_place_of_the_stored_one(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.answers(200, b"changed", Cache_Control="max-age=60", ETag='"b"')

    assert (await site.ask(if_none_match='"a"')).body == b"changed"
    assert (await site.ask()).body == b"changed"
    assert len(site.seen) == 2


@pytest.mark.parametrize("validator", [{"ETag": '"other"'}, {"Last_Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}])
async def test_a_304_about_another_representation_makes_us_ask_for_all(site: Site, validator: Any) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    bodies = [(304, b"", validator), (200, b"whole", {"ETag": '"c"', "Cache_Control": "max-age=60"})]

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        status, body, headers = bodies.pop(0)
        raw = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    site.handler = answering

    assert (await site.ask()).body == b"whole"
    assert "if-none-match" in site.seen[1]
    assert "if-none-match" not in site.seen[2]
    assert (await site.ask()).body == b"whole"
    assert len(site.seen) == 3


@pytest.mark.parametrize("now", ["no-store", "private"])
async def test_a_304_that_forbids_storing_ends_it(site: Site, now: str) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.answers(304, b"", Cache_Control=now)

    assert (await site.ask()).body == b"hello"
    await site.ask()
    assert len(site.seen) == 3
    assert "if-none-match" not in site.seen[2]


async def test_a_304_nobody_asked_for_is_passed_on(site: Site) -> None:
    site.answers(304, b"")

    assert (await site.ask()).status == 304
    assert len(site.store) == 0


@pytest.mark.parametrize(
    ("asked", "status", "body", "about"),
    [
        ("bytes=0-1", 206, b"he", "bytes 0-1/5"),
        ("bytes=1-", 206, b"ello", "bytes 1-4/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=-99", 206, b"hello", "bytes 0-4/5"),
        ("bytes=3-99", 206, b"lo", "bytes 3-4/5"),
        ("Bytes= 4-4", 206, b"o", "bytes 4-4/5"),
        ("bytes=3-2", 200, b"hello", None),
        ("bytes=-", 200, b"hello", None),
        ("bytes=0-1,3-4", 200, b"hello", None),
        ("lines=0-1", 200, b"hello", None),
        ("bytes=a-b", 200, b"hello", None),
        ("", 200, b"hello", None),
    ],
)
async def test_a_part_of_what_is_stored(site: Site, asked: str, status: int, body: bytes, about: str | None) -> None:
    site.answers(Cache_Control="max-age=60", Content_Length="5", ETag='"a"')
    await site.ask()

    reply = await site.ask(range=asked)

    assert (reply.status, reply.body, reply["content-range"]) == (status, body, about)
    assert reply["content-length"] == str(len(body))
    assert len(site.seen) == 1


@pytest.mark.parametrize("asked", ["bytes=5-", "bytes=-0"])
async def test_a_part_that_is_not_there_is_a_problem(site: Site, asked: str) -> None:
    site.answers(Cache_Control="max-age=60", Content_Length="5", Content_Type="text/plain", ETag='"a"')
    await site.ask()

    reply = await site.ask(range=asked)

    told = json.loads(reply.body)
    assert (reply.status, reply["content-range"], reply["etag"]) == (416, "bytes */5", None)
    assert (reply["content-type"], reply["content-length"]) == ("application/problem+json", str(len(reply.body)))
    assert (told["code"], told["status"], told["size"]) == ("request.range-not-satisfiable", 416, 5)


@pytest.mark.parametrize(
    ("etag", "condition", "status"),
    [('"a"', '"a"', 206), ('"a"', '"b"', 200), ('W/"a"', 'W/"a"', 200), ('"a"', "Sun, 06 Nov 1994 08:49:37 GMT", 200)],
)
async def test_if_range_wants_the_same_strong_tag(site: Site, etag: str, condition: str, status: int) -> None:
    site.answers(Cache_Control="max-age=60", ETag=etag)
    await site.ask()

    assert (await site.ask(range="bytes=0-1", if_range=condition)).status == status


async def test_a_part_of_what_is_not_stored_is_the_applications_affair(site: Site) -> None:
    site.answers(206, b"he", Cache_Control="max-age=60", Content_Range="bytes 0-1/5")

    reply = await site.ask(range="bytes=0-1")

    assert (reply.status, site.seen[0]["range"], len(site.store)) == (206, "bytes=0-1", 0)
    assert reply["cache-status"] == "cortex; fwd=uri-miss; fwd-status=206"


async def test_only_a_200_has_parts(site: Site) -> None:
    site.answers(404, Cache_Control="max-age=60")
    await site.ask()

    assert (await site.ask(range="bytes=0-1")).status == 404


async def test_an_answer_without_a_validator_gets_one_where_asked_for(site: Site) -> None:
    site.build(etag=True)
    site.answers(Content_Length="5")

    first = await site.ask()
    again = await site.ask(if_none_match=first["etag"])

    assert first["etag"] is not None
    assert first["etag"].startswith('"')
    assert (first.body, again.status, again.body) == (b"hello", 304, b"")
    site.answers(body=b"world", Content_Length="5")
    assert (await site.ask(if_none_match=first["etag"])).body == b"world"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 201, "Content_Length": "5"},
        {"ETag": '"own"', "Content_Length": "5"},
        {},
        {"Content_Length": "999999999"},
    ],
)
async def test_no_tag_is_made_where_it_would_cost_or_say_too_much(site: Site, answer: dict[str, Any]) -> None:
    site.build(etag=True)
    site.answers(**answer)

    assert (await site.ask())["etag"] in {None, '"own"'}
