"""What a change makes go."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi.http_cache import CacheUnavailable, InvalidatedDetails, Put
from cortex_core.kernel import use_context
from cortex_core.testing import eventually

Site = Any  # conftest.py


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FROB"])
@pytest.mark.parametrize(("status", "goes"), [(200, True), (204, True), (303, True), (400, False), (500, False)])
async def test_a_successful_unsafe_method_invalidates_its_target(
    site: Site, method: str, status: int, goes: bool
) -> None:
    await site.ask("/a")
    await site.ask("/b")
    site.status = status
    await site.ask("/a", method)

    assert len(site.store) == (1 if goes else 2)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "HEAD"])
async def test_a_safe_method_invalidates_nothing(site: Site, method: str) -> None:
    await site.ask("/a")
    await site.ask("/a", method)

    assert len(site.store) == 1


@pytest.mark.parametrize("header", ["Location", "Content_Location"])
@pytest.mark.parametrize(
    ("reference", "goes"),
    [
        ("/b?x=1", True),
        ("b?x=1", True),
        ("http://site/b?x=1", True),
        ("HTTP://SITE/b?x=1", True),
        ("http://elsewhere/b?x=1", False),
        ("https://site/b?x=1", False),
        ("http://[nonsense", False),
        ("", False),
    ],
)
async def test_what_the_answer_points_to_goes_where_it_is_ours(
    site: Site, header: str, reference: str, goes: bool
) -> None:
    await site.ask("/b?x=1")
    site.answers(201, b"", **{header: reference})
    await site.ask("/a", "POST")

    assert len(site.store) == (0 if goes else 1)


@pytest.mark.parametrize("reference", ["https://api.example/b", "http://site/b", "/b"])
async def test_a_configured_origin_is_ours_by_both_names(site: Site, reference: str) -> None:
    site.build(origin="https://api.example")
    await site.ask("/b")
    site.answers(201, b"", Location=reference)
    await site.ask("/a", "POST")

    assert len(site.store) == 0


async def test_a_location_without_a_path_is_the_root(site: Site) -> None:
    await site.ask("/")
    site.answers(201, b"", Location="http://site")
    await site.ask("/a", "POST")

    assert len(site.store) == 0


async def test_all_variants_of_a_target_go(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Vary="Accept")
    await site.ask("/a", accept="x")
    await site.ask("/a", accept="y")

    await site.ask("/a", "DELETE")

    assert len(site.store) == 0


async def test_another_tenants_answers_stay(site: Site) -> None:
    with use_context(tenant="acme"):
        await site.ask("/a")

    await site.ask("/a", "POST")

    assert len(site.store) == 1


async def test_tags_name_what_goes(site: Site) -> None:
    for path, tags in (("/1", "order:1, orders"), ("/2", "order:2 orders"), ("/3", "other")):
        site.answers(Cache_Control="max-age=60", Cache_Tag=tags)
        await site.ask(path)

    assert await site.cache.invalidate(["order:1"]) == 1
    assert await site.cache.invalidate(["order:1", "nothing"]) == 0
    assert len(site.store) == 2
    assert await site.cache.invalidate(["orders", "order:2"]) == 1
    assert site.hooks.invalidated[0] == InvalidatedDetails("public", ("order:1",), 1)


async def test_a_function_of_the_scope_gives_tags(site: Site) -> None:
    site.build(tags=lambda scope: [f"path:{scope['path']}"])
    await site.ask("/a")

    assert await site.cache.invalidate(["path:/a"]) == 1


async def test_tags_are_a_tenants_own(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", Cache_Tag="orders")
    for tenant in ("acme", "globex"):
        with use_context(tenant=tenant):
            await site.ask()

    assert await site.cache.invalidate(["orders"]) == 0
    assert await site.cache.invalidate(["orders"], tenant="acme") == 1
    with use_context(tenant="globex"):
        assert await site.cache.invalidate(["orders"]) == 1


async def test_a_304_with_tags_changes_them_and_one_without_keeps_them(site: Site) -> None:
    site.answers(Cache_Control="max-age=60", ETag='"a"', Cache_Tag="old")
    await site.ask()
    await site.clock.advance(61)
    site.answers(304, b"")
    await site.ask()
    assert await site.cache.invalidate(["old"]) == 1

    site.answers(Cache_Control="max-age=60", ETag='"a"', Cache_Tag="old")
    await site.ask()
    await site.clock.advance(61)
    site.answers(304, b"", Cache_Tag="new")
    await site.ask()

    assert await site.cache.invalidate(["new"]) == 1


async def test_clear_takes_everything(site: Site) -> None:
    await site.ask("/a")
    with use_context(tenant="acme"):
        await site.ask("/b")

    await site.cache.clear()

    assert len(site.store) == 0


@pytest.mark.parametrize("how", ["tag", "post", "clear"])
async def test_an_answer_from_before_a_change_is_not_stored_after_it(site: Site, how: str) -> None:
    site.answers(200, b"old", Cache_Control="max-age=60", Cache_Tag="orders")
    site.gate.clear()
    early = asyncio.create_task(site.ask())
    await eventually(lambda: site.seen)

    if how == "post":
        posting = asyncio.create_task(site.ask(method="POST"))
        await eventually(lambda: len(site.seen) == 2)
        site.gate.set()
        await posting
    elif how == "tag":
        await site.cache.invalidate(["orders"])
    else:
        await site.cache.clear()
    site.gate.set()

    assert (await early).body == b"old"  # asked before the change, answered from before it
    site.body = b"new"
    assert (await site.ask()).body == b"new"


@pytest.mark.parametrize("how", ["tag", "post", "clear"])
@pytest.mark.parametrize("stores", [True, False])
async def test_who_asks_after_a_change_does_not_share_an_answer_from_before_it(
    site: Site, how: str, stores: bool
) -> None:
    async def away(*_: Any) -> Put:
        return Put.UNAVAILABLE

    if not stores:
        site.store.put = away
    site.answers(200, b"old", Cache_Control="max-age=60", Cache_Tag="orders")
    site.gate.clear()
    early = [asyncio.create_task(site.ask()) for _ in range(2)]
    await eventually(lambda: site.seen)
    gate, site.gate = site.gate, asyncio.Event()
    site.gate.set()

    site.body = b"new"
    changes = {"tag": lambda: site.cache.invalidate(["orders"]), "post": lambda: site.ask(method="POST")}
    await changes.get(how, site.cache.clear)()
    late = asyncio.create_task(site.ask())
    await asyncio.wait((late,), timeout=5)
    gate.set()

    assert late.result().body == b"new"
    leader, follower = await asyncio.gather(*early)
    assert leader.body == b"old"
    if stores:
        assert follower.body == b"new"  # what cannot be stored any more is not shared either
        assert (await site.ask()).body == b"new"


async def test_a_store_that_is_away_lets_the_change_through_and_tells_the_hook(site: Site) -> None:
    class Away:
        async def get(self, *_: Any) -> Any: ...
        async def invalidate(self, **_: Any) -> int:
            raise CacheUnavailable("away")

    site.store = Away()
    site.build()

    assert (await site.ask(method="POST")).status == 200
    assert [each.work for each in site.hooks.errors] == ["invalidate"]
    with pytest.raises(CacheUnavailable):
        await site.cache.invalidate(["orders"])
