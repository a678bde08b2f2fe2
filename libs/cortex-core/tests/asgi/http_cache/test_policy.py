"""What a cache can be told, and what it refuses to be told."""

import math
from typing import Any

import pytest

from cortex_core.asgi.http_cache import CachePolicy, CacheRule, MemoryCacheStore
from cortex_core.asgi.http_cache.redis import RedisCacheStore

Site = Any  # conftest.py
NO_SECONDS = [-1, math.nan, math.inf, "1", None]
NO_COUNTS = [-1, math.nan, math.inf, 1.5, "1", True, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (name, value)
            for name in ("stale_if_error", "validation", "collapse_wait", "refresh_timeout")
            for value in NO_SECONDS
        ],
        *[(name, value) for name in ("max_body", "refreshes") for value in NO_COUNTS],
        *[("heuristic", value) for value in (-0.1, 1.1, math.nan, "1")],
        *[(name, value) for name in ("credentials", "unstored") for value in ("X-Foo", b"X-Foo")],
        *[("tag_header", value) for value in ("", "a b", "ä")],
        *[("name", value) for value in ("", "a b")],
        *[("origin", value) for value in ("api.example", "https://a/b", "https://a@b", "")],
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        CachePolicy(**{name: value})


@pytest.mark.parametrize("value", [*NO_COUNTS, 0])
def test_a_store_without_a_bound_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        MemoryCacheStore(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in ("timeout", "retry_after") for value in (*NO_SECONDS, 0)],
        *[("connections", value) for value in (*NO_COUNTS, 0)],
    ],
)
def test_a_redis_store_without_bounds_is_refused(name: str, value: Any) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        RedisCacheStore("redis://127.0.0.1", **settings)


@pytest.mark.parametrize("value", [-1, math.nan, "1"])
def test_a_rule_with_a_lifetime_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="ttl"):
        CacheRule(ttl=value)


async def test_letter_case_of_names_means_nothing(site: Site) -> None:
    site.build(credentials=("X-Who",), unstored=["X-Once"], tag_header="My-Tag")
    site.answers(Cache_Control="max-age=60", X_Once="1", My_Tag="a")
    await site.ask("/mine", x_who="me")
    assert len(site.store) == 0

    await site.ask()

    assert (await site.ask())["x-once"] is None
    assert await site.cache.invalidate(["a"]) == 1


@pytest.mark.parametrize(
    ("prefix", "path", "applies"),
    [
        ("/docs", "/docs", True),
        ("/docs", "/docs/a", True),
        ("/docs", "/docsX", False),
        ("/docs/", "/docs", False),
        ("/docs/", "/docs/a", True),
        ("/", "/a", True),
    ],
)
async def test_a_prefix_means_whole_segments(site: Site, prefix: str, path: str, applies: bool) -> None:
    site.build(rules=[CacheRule(prefix, bypass=True)])

    assert ("fwd=bypass" in (await site.ask(path))["cache-status"]) == applies


@pytest.mark.parametrize("name", ["ttl", "heuristic"])
async def test_no_lifetime_is_made_up_for_what_was_asked_with_a_cookie(site: Site, name: str) -> None:
    site.build(**({"rules": [CacheRule(ttl=60)]} if name == "ttl" else {"heuristic": 0.5}))
    site.answers(Last_Modified=site.http_date(-1000))

    for cookie in ("a", "a", "b"):
        assert "hit" not in (await site.ask("/mine", cookie=cookie))["cache-status"]
    for _ in range(2):
        reply = await site.ask()
    assert "hit" in reply["cache-status"]


async def test_a_lifetime_that_the_answer_names_holds_with_cookies(site: Site) -> None:
    for cookie in ("a", "b"):
        reply = await site.ask(cookie=cookie)

    assert "hit" in reply["cache-status"]
