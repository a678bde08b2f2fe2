"""What is kept, and what never is."""

from typing import Any

import pytest

from cortex_core.asgi.http_cache import CacheRule
from cortex_core.kernel import Principal, use_context

Site = Any  # conftest.py
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
FRESH = "max-age=60"


@pytest.mark.parametrize(
    ("status", "headers", "kept"),
    [
        (200, {"Cache_Control": FRESH}, True),
        (200, {"Cache_Control": "s-maxage=60"}, True),
        (200, {"Cache_Control": "public"}, False),
        (200, {}, False),
        (200, {"ETag": '"a"'}, True),
        (200, {"ETag": "a"}, False),
        (200, {"Last_Modified": DATE}, True),
        (200, {"Last_Modified": "long ago"}, False),
        (200, {"Cache_Control": "no-cache", "ETag": '"a"'}, True),
        (200, {"Cache_Control": "no-cache, max-age=60"}, False),
        (200, {"Cache_Control": 'no-cache="set-cookie", max-age=60'}, False),
        (200, {"Cache_Control": "max-age=0"}, False),
        (200, {"Cache_Control": FRESH, "Age": "60"}, False),
        (200, {"Cache_Control": "max-age=0, stale-while-revalidate=60"}, True),
        (200, {"Cache_Control": "max-age=0, stale-if-error=60"}, True),
        (200, {"Cache_Control": "max-age=0, stale-if-error=60, must-revalidate"}, False),
        (200, {"Cache_Control": f"no-store, {FRESH}"}, False),
        (200, {"Cache_Control": f"nO-StOrE, {FRESH}"}, False),
        (200, {"Cache_Control": f"private, {FRESH}"}, False),
        (200, {"Cache_Control": f'private="x-user", {FRESH}'}, False),
        (200, {"Cache_Control": f"must-understand, no-store, {FRESH}"}, False),
        (200, {"Cache_Control": FRESH, "Set_Cookie": "a=b"}, False),
        (200, {"Cache_Control": FRESH, "Vary": "*"}, False),
        (200, {"Cache_Control": FRESH, "Vary": ["accept", "x, *"]}, False),
        (200, {"Cache_Control": FRESH, "Vary": "a b"}, False),
        (200, {"Cache_Control": FRESH, "Content_Length": "5"}, True),
        (200, {"Cache_Control": FRESH, "Content_Length": "6"}, False),
        (200, {"Cache_Control": FRESH, "Content_Length": "five"}, False),
        (200, {"Cache_Control": FRESH, "Content_Length": ["5", "5"]}, False),
        (200, {"Cache_Control": FRESH, "Content_Range": "bytes 0-4/10"}, False),
        (200, {"Cache_Control": FRESH, "Cache_Tag": " ".join(f"t{n}" for n in range(64))}, True),
        (200, {"Cache_Control": FRESH, "Cache_Tag": " ".join(f"t{n}" for n in range(65))}, False),
        (200, {"Cache_Control": FRESH, "Cache_Tag": "x" * 129}, False),
        (201, {"Cache_Control": FRESH}, False),
        (203, {"Cache_Control": FRESH}, True),
        (206, {"Cache_Control": FRESH, "Content_Range": "bytes 0-4/10"}, False),
        (301, {"Cache_Control": FRESH}, True),
        (302, {"Cache_Control": FRESH}, True),
        (302, {"ETag": '"a"'}, False),
        (307, {"Expires": "Fri, 01 Jan 2100 00:00:00 GMT"}, True),
        (404, {"Cache_Control": FRESH}, True),
        (410, {"Cache_Control": FRESH}, True),
        (418, {"Cache_Control": FRESH}, False),
        (500, {"Cache_Control": FRESH}, False),
        (503, {"Cache_Control": FRESH}, False),
    ],
)
async def test_an_answer_is_kept_only_where_that_is_certainly_right(
    site: Site, status: int, headers: Any, kept: bool
) -> None:
    site.answers(status, **headers)

    reply = await site.ask()

    assert len(site.store) == kept
    assert reply.status == status
    assert ("stored" in (reply["cache-status"] or "")) is kept


@pytest.mark.parametrize("who", [{"authorization": "Bearer x"}, {"x_api_key": "k"}, {"x_cortex_principal": "p"}])
@pytest.mark.parametrize(
    ("says", "kept"),
    [(FRESH, 0), (f"{FRESH}, public", 1), ("s-maxage=60", 1), (f"{FRESH}, must-revalidate", 1), ("no-cache", 0)],
)
async def test_what_was_asked_with_credentials_is_kept_only_where_it_says_it_may(
    site: Site, who: Any, says: str, kept: int
) -> None:
    site.answers(Cache_Control=says, ETag='"a"')

    await site.ask(**who)

    assert len(site.store) == kept


async def test_a_principal_in_the_context_is_a_credential(site: Site) -> None:
    with use_context(principal=Principal("usr_1", method="jwt")):
        await site.ask()

    assert len(site.store) == 0


async def test_cookies_are_kept_only_where_told(site: Site) -> None:
    site.build(cookies=True)
    site.answers(Cache_Control=FRESH, Set_Cookie="theme=dark")
    await site.ask()

    assert (await site.ask())["set-cookie"] == "theme=dark"


async def test_headers_of_one_connection_or_exchange_are_not_kept(site: Site) -> None:
    site.answers(
        Cache_Control=FRESH,
        Connection="x-hop, keep-alive",
        X_Hop="1",
        Keep_Alive="5",
        Proxy_Authenticate="Basic",
        X_Request_Id="req_1",
        X_Stays="yes",
    )
    first = await site.ask()

    hit = await site.ask()

    assert {name for name, _ in first.headers} >= {"connection", "x-hop", "x-request-id"}
    assert {name for name, _ in hit.headers} == {
        "date",
        "cache-control",
        "x-stays",
        "age",
        "content-length",
        "cache-status",
    }


async def test_what_is_larger_than_the_bound_passes_through(site: Site) -> None:
    site.build(max_body=4)

    reply = await site.ask()

    assert (reply.body, reply.complete, len(site.store)) == (b"hello", True, 0)
    assert reply["cache-status"] == "cortex; fwd=uri-miss; fwd-status=200"


async def test_an_answer_that_breaks_off_is_not_kept(site: Site) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})

    site.handler = breaking

    reply = await site.ask()

    assert (reply.body, reply.complete, len(site.store)) == (b"hel", False, 0)


async def test_an_answer_that_raises_midway_is_not_kept_and_raises(site: Site) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        raise ConnectionError("upstream is gone")

    site.handler = breaking

    with pytest.raises(ConnectionError, match="upstream"):
        await site.ask()
    assert len(site.store) == 0


async def test_an_application_that_says_nothing_is_heard_so(site: Site) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    site.handler = silent

    assert (await site.ask()).status == 0


async def test_a_rule_gives_a_lifetime_to_what_has_none(site: Site) -> None:
    site.build(rules=[CacheRule("/catalog", ttl=30)])
    site.answers()
    await site.ask("/catalog/1")
    await site.ask("/orders/1")

    assert (await site.ask("/catalog/1"))["cache-status"] == "cortex; hit; ttl=30"
    assert len(site.store) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"Cache_Control": "private"}),
        (200, {"Cache_Control": "no-store"}),
        (200, {"Cache_Control": "no-cache"}),
        (200, {"Cache_Control": "max-age=0"}),
        (200, {"Set_Cookie": "a=b"}),
        (404, {}),
    ],
)
async def test_a_rule_never_overrules_the_answer(site: Site, status: int, headers: Any) -> None:
    site.build(rules=[CacheRule(ttl=30)])
    site.answers(status, **headers)

    await site.ask()

    assert len(site.store) == 0


async def test_a_rule_makes_nothing_public_that_was_asked_with_credentials(site: Site) -> None:
    site.build(rules=[CacheRule(ttl=30)])
    site.answers()

    await site.ask(authorization="Bearer x")

    assert len(site.store) == 0


async def test_the_first_rule_that_applies_decides(site: Site) -> None:
    admin = CacheRule("/", matches=lambda scope: b"admin" in scope["raw_path"], bypass=True)
    site.build(rules=[admin, CacheRule("/a", ttl=5)])
    site.answers()

    assert (await site.ask("/a/admin"))["cache-status"] == "cortex; fwd=bypass; fwd-status=200"
    await site.ask("/a/1")
    assert (await site.ask("/a/1"))["cache-status"] == "cortex; hit; ttl=5"


async def test_a_heuristic_is_used_only_where_asked_for(site: Site) -> None:
    site.build(heuristic=0.1)
    site.answers(Last_Modified=site.http_date(-1000))
    await site.ask("/old")
    site.answers(Last_Modified=site.http_date(-100_000_000))
    await site.ask("/ancient")
    site.answers(Last_Modified=site.http_date(+1000))
    await site.ask("/future")

    assert (await site.ask("/old"))["cache-status"] == "cortex; hit; ttl=100"
    assert (await site.ask("/ancient"))["cache-status"] == "cortex; hit; ttl=86400"
    assert (await site.ask("/future"))["cache-status"] == "cortex; fwd=stale; fwd-status=200; stored"


@pytest.mark.parametrize("expose", [True, False])
async def test_tags_are_seen_by_clients_only_where_told(site: Site, expose: bool) -> None:
    site.build(expose_tags=expose)
    site.answers(Cache_Control=FRESH, Cache_Tag="a b")

    replies = [await site.ask(), await site.ask(), await site.ask(method="POST")]

    assert [reply["cache-tag"] for reply in replies] == ["a b" if expose else None] * 3


async def test_a_stored_answer_that_was_replaced_by_one_not_to_be_kept_goes(site: Site) -> None:
    site.answers(Cache_Control="max-age=60, stale-if-error=600", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.answers(200, b"private now", Cache_Control="private")
    await site.ask()

    site.answers(503)

    assert (await site.ask()).status == 503


async def test_a_refusal_does_not_cost_the_others_what_is_stored(site: Site) -> None:
    site.answers(Cache_Control="max-age=60, public", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)
    site.answers(401)

    assert (await site.ask()).status == 401
    assert len(site.store) == 1


async def test_what_comes_after_the_last_piece_is_ignored(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hello"})
        await send({"type": "http.response.body", "body": b"and more"})
        await send({"type": "http.response.trailers", "headers": []})

    site.handler = app

    assert (await site.ask()).body == (await site.ask()).body == b"hello"
