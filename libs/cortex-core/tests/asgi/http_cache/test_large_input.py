"""What a client can make the cache remember, or read, is bounded."""

import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cortex_core.asgi.conditional import entity_tags, http_date
from cortex_core.asgi.http_cache import CacheRule, MemoryCacheStore
from cortex_core.asgi.http_cache.directives import cache_control
from cortex_core.testing.contracts.httpcache import an_answer, stored

Site = Any  # conftest.py
_MIB = 1024 * 1024


async def growth(work: Callable[[], Awaitable[Any]]) -> int:
    """Bytes, allocated by the cache or its tests, that are still there when `work` is done. What other threads of a
    process of many tests keep meanwhile is not counted."""
    gc.collect()
    tracemalloc.start()
    try:
        await work()
        gc.collect()
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*http_cache*")])
        return sum(trace.size for trace in ours.traces)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bypassed", [True, False])
async def test_long_directives_are_not_remembered(site: Site, bypassed: bool) -> None:
    site.build(rules=[CacheRule("/", bypass=bypassed)])

    async def asking() -> None:
        for number in range(20):
            await site.ask(cache_control=",".join(f"a{number}-{each}" for each in range(5_000)))
            site.seen.clear()

    assert await growth(asking) < _MIB


def test_directives_too_long_to_be_read_allow_nothing() -> None:
    assert "no-store" in cache_control("max-age=60, public" + ", a" * 4_000)
    assert cache_control("max-age=60" + ", a" * 1_000).seconds("max-age") == 60


@pytest.mark.parametrize("text", ["Sun, 06 Nov 1994 08:49:37 GMT" + " " * 100, "x" * 100_000])
def test_what_is_too_long_for_a_date_is_none(text: str) -> None:
    assert http_date(text) is None


def test_a_list_of_entity_tags_too_long_to_be_read_is_as_good_as_absent() -> None:
    assert entity_tags('"a",' * 100_000) == []
    assert len(entity_tags('"a",' * 1_000)) == 1_000


async def test_a_url_longer_than_8_kib_passes_the_cache_by(site: Site) -> None:
    for path, status in (("/" + "a" * 8_191, "fwd=uri-miss"), ("/" + "a" * 8_190 + "?bb", "fwd=bypass")):
        assert status in (await site.ask(path))["cache-status"]


async def test_all_that_keeping_costs_is_within_the_memory_stores_bound() -> None:
    store = MemoryCacheStore(_MIB)

    async def filling() -> None:
        for number in range(3_000):
            name = f"{number:05}" + "x" * 4_000
            await stored(store, name, an_answer(tags=(name,), vary=("x",), x=name))
        for number in range(10_000):
            await stored(store, f"{number}", an_answer(tags=(str(number), "all")))

    assert await growth(filling) < _MIB
    assert len(store) > 100


async def test_tags_that_an_address_no_longer_has_are_forgotten() -> None:
    store = MemoryCacheStore()

    async def putting() -> None:
        for number in range(3_000):
            await stored(store, "key", an_answer(tags=(f"tag {number}",)))

    assert await growth(putting) < 100_000
    assert await store.invalidate(tags=["tag 0"]) == 0
    assert await store.invalidate(tags=["tag 2999"]) == 1


async def test_invalidations_are_remembered_by_their_digests() -> None:
    store = MemoryCacheStore()

    async def invalidating() -> None:
        for number in range(2_000):
            await store.invalidate(keys=[f"{number:05}" + "x" * 16_000], tags=[f"{number:05}" + "x" * 16_000])

    assert await growth(invalidating) < 2 * _MIB


async def test_addresses_nobody_waits_for_are_remembered_by_their_digests(site: Site) -> None:
    site.answers(Cache_Control="private")

    async def asking() -> None:
        for number in range(300):
            await site.ask(f"/{number:05}" + "x" * 8_000)
            site.seen.clear()
            site.hooks.answers.clear()

    assert await growth(asking) < _MIB
