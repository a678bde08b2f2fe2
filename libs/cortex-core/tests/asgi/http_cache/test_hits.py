"""What comes from the store, what does not, and what the client is told about it."""

from typing import Any

import pytest

from cortex_core.asgi.http_cache import NotCached, Outcome
from cortex_core.kernel import Kind, use_context

Site = Any  # conftest.py


async def test_the_second_request_is_answered_from_the_store(site: Site) -> None:
    first, second = await site.ask(), await site.ask()

    assert len(site.seen) == 1
    assert first["cache-status"] == "cortex; fwd=uri-miss; fwd-status=200; stored"
    assert second["cache-status"] == "cortex; hit; ttl=60"
    assert (second.status, second.body, second.complete) == (200, b"hello", True)


async def test_a_hit_says_its_age_and_keeps_its_date(site: Site) -> None:
    made = site.http_date()
    await site.ask()
    await site.clock.advance(20)

    hit = await site.ask()

    assert (hit["age"], hit["date"], hit["cache-status"]) == ("20", made, "cortex; hit; ttl=40")


async def test_a_hit_replaces_the_age_it_was_stored_with(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Age="10")
    await site.ask()
    await site.clock.advance(5)

    assert (await site.ask())["age"] == "15"


async def test_where_the_server_writes_the_date_ours_stays_away(site: Site) -> None:
    site.build(date=False)

    first, hit = await site.ask(), await site.ask()

    assert (first["date"], hit["date"]) == (None, None)
    assert hit["age"] == "0"


async def test_an_answer_without_a_date_gets_one(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Date="")

    assert (await site.ask())["date"] == (await site.ask())["date"] == site.http_date()


async def test_what_is_too_old_is_asked_for_again(site: Site) -> None:
    await site.ask()
    await site.clock.advance(60)

    again = await site.ask()

    assert len(site.seen) == 2
    assert again["cache-status"] == "cortex; fwd=uri-miss; fwd-status=200; stored"  # without validator it is not kept


async def test_what_caches_behind_us_said_comes_first(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Cache_Status="origin; fwd=miss")

    await site.ask()

    assert (await site.ask())["cache-status"] == "origin; fwd=miss, cortex; hit; ttl=60"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"path": "/a"}, {"path": "/b"}),
        ({"path": "/a?x=1"}, {"path": "/a?x=2"}),
        ({"path": "/a/b"}, {"path": "/a%2Fb"}),
        ({"host": ["one"]}, {"host": ["two"]}),
    ],
)
async def test_different_addresses_do_not_meet(site: Site, first: Any, second: Any) -> None:
    await site.ask(**first)
    await site.ask(**second)

    assert len(site.seen) == 2


async def test_a_configured_origin_is_everybodys(site: Site) -> None:
    site.build(origin="https://api.example")

    await site.ask(host=["one"])
    await site.ask(host=["two"])

    assert len(site.seen) == 1


async def test_tenants_do_not_meet(site: Site) -> None:
    for tenant in ("acme", "globex", "acme", "globex"):
        site.answers(body=tenant.encode(), Cache_Control="max-age=60")
        with use_context(tenant=tenant):
            assert (await site.ask()).body == tenant.encode()

    assert len(site.seen) == 2


async def test_head_is_answered_from_a_stored_get(site: Site) -> None:
    await site.ask()

    head = await site.ask(method="HEAD")

    assert (head.status, head.body, head["content-length"]) == (200, b"", "5")
    assert len(site.seen) == 1


async def test_head_is_passed_on_where_nothing_is_stored_and_stores_nothing(site: Site) -> None:
    head = await site.ask(method="HEAD")
    await site.ask()

    assert head["cache-status"] == "cortex; fwd=uri-miss; fwd-status=200"
    assert [each["method"] for each in site.seen] == ["HEAD", "GET"]


async def test_an_answer_without_content_stays_without_length(site: Site) -> None:
    site.answers(204, b"", Cache_Control="max-age=60")
    await site.ask()

    hit = await site.ask()

    assert (hit.status, hit["content-length"], hit["cache-status"]) == (204, None, "cortex; hit; ttl=60")


async def test_only_if_cached_is_refused_where_nothing_is(site: Site) -> None:
    with pytest.raises(NotCached) as caught:
        await site.ask(cache_control="only-if-cached")

    assert (caught.value.kind, caught.value.attempted, caught.value.retryable) == (Kind.TIMEOUT, False, False)
    await site.ask()
    assert (await site.ask(cache_control="only-if-cached")).status == 200


@pytest.mark.parametrize(
    ("headers", "fresh", "asked"),
    [
        ({"cache_control": "no-cache"}, 1, True),
        ({"pragma": "no-cache"}, 1, True),
        ({"pragma": "no-cache", "cache_control": "max-age=100"}, 1, False),
        ({"pragma": "x"}, 1, False),
        ({"cache_control": "max-age=0"}, 0, True),
        ({"cache_control": "max-age=5"}, 5, False),
        ({"cache_control": "max-age=5"}, 6, True),
        ({"cache_control": "max-age=x"}, 0, True),
        ({"cache_control": "min-fresh=50"}, 10, False),
        ({"cache_control": "min-fresh=51"}, 10, True),
        ({"cache_control": "min-fresh=x"}, 10, False),
        ({"cache_control": "max-stale"}, 100, False),
        ({"cache_control": "max-stale=40"}, 100, False),
        ({"cache_control": "max-stale=39"}, 100, True),
        ({"cache_control": "max-stale=x"}, 100, True),
        ({"cache_control": "max-stale, min-fresh=1"}, 100, True),
        ({"cache_control": "max-stale, max-age=90"}, 100, True),
        ({"cache_control": "frobnicate=1"}, 1, False),
    ],
)
async def test_the_requests_directives_are_honoured(site: Site, headers: Any, fresh: int, asked: bool) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    await site.clock.advance(fresh)

    reply = await site.ask(**headers)

    assert (len(site.seen) == 2) is asked
    assert ("hit" in (reply["cache-status"] or "")) is not asked


async def test_a_client_may_be_kept_from_refreshing(site: Site) -> None:
    site.build(client_may_refresh=False)
    await site.ask()

    for wish in ("no-cache", "max-age=0"):
        assert (await site.ask(cache_control=wish))["cache-status"] == "cortex; hit; ttl=60"


async def test_a_reason_is_given_for_asking_again(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"')
    await site.ask()
    assert (await site.ask(cache_control="no-cache"))["cache-status"] == "cortex; fwd=request; fwd-status=200; stored"

    await site.clock.advance(61)
    assert (await site.ask())["cache-status"] == "cortex; fwd=stale; fwd-status=200; stored"


@pytest.mark.parametrize("stale", ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"])
async def test_what_must_be_revalidated_is_never_served_stale(site: Site, stale: str) -> None:
    site.answers(Cache_Control=f"max-age=60, {stale}, stale-while-revalidate=600", ETag='"a"')
    await site.ask()
    await site.clock.advance(61)

    await site.ask(cache_control="max-stale")

    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("method", "headers", "forward"),
    [
        ("POST", {}, "method"),
        ("OPTIONS", {}, "method"),
        ("GET", {"cache_control": "no-store"}, "request"),
        ("GET", {"content_length": "3"}, "request"),
        ("GET", {"transfer_encoding": "chunked"}, "request"),
        ("GET", {"if_match": '"a"'}, "request"),
        ("GET", {"if_unmodified_since": "x"}, "request"),
    ],
)
async def test_what_is_not_the_caches_business_passes_by(site: Site, method: str, headers: Any, forward: str) -> None:
    await site.ask()
    site.seen.clear()

    reply = await site.ask(method=method, **headers)

    assert reply["cache-status"] == f"cortex; fwd={forward}; fwd-status=200"
    assert len(site.seen) == 1
    assert site.hooks.answers[-1].outcome is Outcome.BYPASS


async def test_a_declared_empty_body_is_none(site: Site) -> None:
    await site.ask()

    assert (await site.ask(content_length="0"))["cache-status"] == "cortex; hit; ttl=60"


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_through(site: Site, kind: str) -> None:
    reached: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    site.cache.app = app
    await site.cache({"type": kind}, None, None)

    assert reached == [{"type": kind}]


async def test_a_hit_brings_its_route_for_the_access_log(site: Site) -> None:
    async def routed(scope: Any, receive: Any, send: Any) -> None:
        scope["cortex.route"] = "/things/{id}"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"x"})

    site.handler = routed
    first, second = site.scope("/things/1"), site.scope("/things/1")

    async def send(message: Any) -> None: ...

    for scope in (first, second):
        await site.cache(scope, site.receive(), send)

    assert len(site.seen) == 1
    assert (first["cortex.route"], second["cortex.route"]) == ("/things/{id}", "/things/{id}")


async def test_hooks_hear_how_each_was_answered(site: Site) -> None:
    with use_context(tenant="acme"):
        await site.ask("/a")
        await site.ask("/a")

    miss, hit = site.hooks.answers
    assert (miss.outcome, miss.tenant, miss.path, miss.forward, miss.age) == (
        Outcome.MISS,
        "acme",
        "/a",
        "uri-miss",
        None,
    )
    assert (hit.outcome, hit.status, hit.forward, hit.age, hit.collapsed) == (Outcome.HIT, 200, None, 0.0, False)
    [stored] = site.hooks.stored
    assert (stored.tenant, stored.path, stored.keep, stored.kept) == ("acme", "/a", 60.0, True)
    assert stored.size > 5


async def test_a_hook_that_raises_costs_nobody_an_answer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken(details: Any) -> None:
        raise ValueError("broken hook")

    site.hooks.on_answer = broken

    assert (await site.ask()).status == 200
    assert "a cache hook failed" in caplog.text
