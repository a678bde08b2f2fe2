"""The two stores: what they promise alike, and what is each one's own."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.http_cache import Answer, CachePolicy, CacheUnavailable, HttpCache, MemoryCacheStore, Put, Ticket
from cortex_core.asgi.http_cache.redis import RedisCacheStore
from cortex_core.testing import FakeClock, RedisServer, eventually, free_port
from cortex_core.testing.contracts.httpcache import CacheStoreContract, an_answer, headers, stored

Site = Any  # conftest.py


class TestMemoryCacheStore(CacheStoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryCacheStore:
        self.clock = clock
        return MemoryCacheStore(clock=clock)

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def test_an_answer_is_kept_for_as_long_as_it_was_put(self, store: MemoryCacheStore, clock: FakeClock) -> None:
        await stored(store, "key", an_answer(), keep=10)
        await clock.advance(9.9)
        assert (await store.get("key", [])).answer is not None

        await clock.advance(0.1)

        found = await store.get("key", [])
        assert (found.answer, found.others) == (None, False)

    async def test_the_least_recently_used_go_when_it_is_full(self, clock: FakeClock) -> None:
        each = an_answer(b"x" * 1000, tags=("a",))
        store = MemoryCacheStore(3 * (each.size + 68), clock=clock)
        for key in "abc":
            await stored(store, key, each)
        await store.get("a", [])

        await stored(store, "d", each)

        assert [(await store.get(key, [])).answer is not None for key in "abcd"] == [True, False, True, True]
        assert store.size == store.max_bytes
        assert await store.invalidate(tags=["a"]) == 3
        assert (store.size, len(store), store._tagged) == (0, 0, {})

    async def test_an_answer_larger_than_all_there_is_is_not_kept(self) -> None:
        store = MemoryCacheStore(1000)
        await stored(store, "key", an_answer(b"x"))

        assert await stored(store, "key", an_answer(bytes(1001))) is Put.STORED

        assert (store.size, (await store.get("key", [])).answer) == (0, None)

    @given(steps=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 900), st.sampled_from(["", "t", "u"]))))
    async def test_its_size_is_the_sum_of_what_is_kept(self, steps: list[tuple[str, int, str]]) -> None:
        store = MemoryCacheStore(12_000)
        for key, size, tag in steps:
            await stored(store, key, an_answer(bytes(size), vary=("x",), x=str(size % 3), tags=(tag,) if tag else ()))
            if size % 7 == 0:
                await store.invalidate(tags=["t"])
            kept = sum(68 + sum(each.answer.size for each in known.kept.values()) for known in store._keys.values())
            assert store.size == kept <= store.max_bytes
            assert set().union(*store._tagged.values()) <= set(store._keys)

    def test_a_store_without_room_is_refused(self) -> None:
        with pytest.raises(ValueError, match="max_bytes"):
            MemoryCacheStore(0)


class TestRedisCacheStore(CacheStoreContract):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[RedisCacheStore]:
        store = RedisCacheStore(redis_url, namespace="test*", timeout=5)
        yield store
        await store.aclose()

    async def passes(self, seconds: float) -> None:
        until = time.monotonic() + seconds  # of the server's own clock, which nobody turns
        await eventually(lambda: time.monotonic() >= until)

    @pytest.fixture
    async def another(self, redis_url: str) -> AsyncIterator[RedisCacheStore]:
        """Another replica's, on the same Redis."""
        store = RedisCacheStore(redis_url, namespace="test*", timeout=5)
        yield store
        await store.aclose()

    async def test_what_one_replica_stores_the_others_find(
        self, store: RedisCacheStore, another: RedisCacheStore
    ) -> None:
        answer = an_answer(vary=("accept", "x"), accept="a", x="b")
        await stored(store, "key", answer)

        assert (await another.get("key", headers(accept="a", x="b"))).answer == answer
        assert (await another.get("key", headers(accept="a", x="c"))).others

    async def test_what_one_replica_invalidates_another_does_not_store(
        self, store: RedisCacheStore, another: RedisCacheStore
    ) -> None:
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None
        await another.invalidate(tags=["orders"])

        assert await store.put("key", an_answer(tags=("orders",)), ticket, 60) is Put.OUTDATED

    async def test_an_answer_and_its_tags_expire(self, store: RedisCacheStore, redis_server: RedisServer) -> None:
        await stored(store, "key", an_answer(tags=("a",)), keep=0.05)

        await eventually(lambda: set(redis_server.command("KEYS", "*")) == {"{test*:http-cache}:meta"})
        assert (await store.get("key", [])).answer is None

    async def test_a_longer_life_is_not_cut_short_by_a_shorter_one(
        self, store: RedisCacheStore, redis_server: RedisServer
    ) -> None:
        await stored(store, "key", an_answer(vary=("x",), x="1", tags=("a",)), keep=1000)
        await stored(store, "key", an_answer(vary=("x",), x="2", tags=("a",)), keep=1)

        lives = [redis_server.command("PTTL", key) for key in redis_server.command("KEYS", "*")]
        assert sorted(life > 900_000 for life in lives if life > 0) == [True, True]

    async def test_a_tags_set_forgets_what_has_expired(self, store: RedisCacheStore, redis_server: RedisServer) -> None:
        clock = FakeClock()
        store._clock = clock
        for number in range(20):
            await stored(store, str(number), an_answer(tags=("a",)), keep=10)
            await clock.advance(11)

        [tag] = [key for key in redis_server.command("KEYS", "*") if ":tag:" in key]
        assert redis_server.command("ZCARD", tag) <= 2

    async def test_clear_leaves_what_is_not_the_caches(self, store: RedisCacheStore, redis_server: RedisServer) -> None:
        redis_server.command("SET", "{testing:http-cache}:answers:x", "of another namespace")
        for number in range(1200):
            await stored(store, str(number), an_answer(tags=(str(number),)))

        await store.clear()

        left = set(redis_server.command("KEYS", "*"))
        assert left == {"{testing:http-cache}:answers:x", "{test*:http-cache}:meta"}

    async def test_an_empty_store_can_be_cleared(self, store: RedisCacheStore) -> None:
        await store.clear()

        assert (await store.get("key", [])).answer is None

    async def test_what_was_written_by_somebody_else_is_a_miss(
        self, store: RedisCacheStore, redis_server: RedisServer
    ) -> None:
        await stored(store, "key", an_answer())
        [key] = redis_server.command("KEYS", "*:answers:*")
        [field] = [name for name in redis_server.command("HKEYS", key) if name.startswith("=")]
        redis_server.command("HSET", key, field, "nonsense")

        assert (await store.get("key", [])).answer is None
        assert await stored(store, "key", an_answer()) is Put.STORED

    async def test_a_ticket_of_an_earlier_life_is_outdated(
        self, store: RedisCacheStore, redis_server: RedisServer
    ) -> None:
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None
        redis_server.flush()

        assert await store.put("key", an_answer(), ticket, 60) is Put.OUTDATED
        assert await stored(store, "key", an_answer()) is Put.STORED

    async def test_a_server_that_forgot_the_scripts_is_told_again(
        self, store: RedisCacheStore, redis_server: RedisServer
    ) -> None:
        await stored(store, "key", an_answer())
        redis_server.command("SCRIPT", "FLUSH")

        assert (await store.get("key", [])).answer is not None

    async def test_what_is_remembered_of_keys_is_bounded(self, store: RedisCacheStore) -> None:
        for number in range(5_000):
            store._remember(str(number), ("x",))

        assert len(store._hints) == 4096


class TestRedisAway:
    async def test_nothing_raises_but_an_invalidation(self) -> None:
        store = RedisCacheStore(f"redis://127.0.0.1:{free_port()}")

        found = await store.get("key", [])
        put = await store.put("key", an_answer(), Ticket(0), 60)

        assert (found.answer, found.ticket, put) == (None, None, Put.UNAVAILABLE)
        for change in (store.invalidate(tags=["a"]), store.clear()):
            with pytest.raises(CacheUnavailable) as caught:
                await change
            assert caught.value.retryable
        await store.aclose()

    async def test_a_redis_that_hangs_costs_its_timeout_once(self, redis_url: str, redis_server: RedisServer) -> None:
        clock = FakeClock()
        store = RedisCacheStore(redis_url, timeout=1.0, retry_after=1, clock=clock)
        await stored(store, "key", an_answer())
        redis_server.send_signal(19)  # SIGSTOP
        try:
            began = time.monotonic()
            for _ in range(100):
                assert (await store.get("key", [])).answer is None
            took = time.monotonic() - began
        finally:
            redis_server.send_signal(18)  # SIGCONT
        assert took < 50  # a hundred time-outs would be 100 s

        await clock.advance(1)
        assert await eventually(lambda: back(store, clock)) == an_answer()
        await store.aclose()

    async def test_an_interrupted_wait_does_not_give_the_next_one_its_reply(
        self, redis_url: str, redis_server: RedisServer
    ) -> None:
        store = RedisCacheStore(redis_url, timeout=5, connections=1)
        for key in ("a", "b"):
            await stored(store, key, an_answer(key.encode()))
        redis_server.send_signal(19)
        try:
            waiting = asyncio.create_task(store.get("a", []))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        finally:
            redis_server.send_signal(18)

        found = await store.get("b", [])
        assert found.answer is not None
        assert found.answer.body == b"b"
        await store.aclose()

    async def test_requests_are_answered_while_it_is_away(self, site: Site) -> None:
        store = RedisCacheStore(f"redis://127.0.0.1:{free_port()}")
        cache = HttpCache(site.app, store=store, policy=CachePolicy(), clock=site.clock)

        replies = await asyncio.gather(*(site.ask(cache=cache) for _ in range(5)))

        assert {(reply.status, reply.body) for reply in replies} == {(200, b"hello")}
        assert {reply["cache-status"] for reply in replies} == {"cortex; fwd=uri-miss; fwd-status=200"}
        await cache.aclose()
        await store.aclose()

    async def test_a_tag_is_made_all_the_same(self, site: Site) -> None:
        store = RedisCacheStore(f"redis://127.0.0.1:{free_port()}")
        cache = HttpCache(site.app, store=store, policy=CachePolicy(etag=True), clock=site.clock)
        site.answers(Cache_Control="max-age=60", Content_Length="5")

        first = await site.ask(cache=cache)

        assert first["etag"] is not None
        assert (await site.ask(cache=cache, if_none_match=first["etag"])).status == 304
        await cache.aclose()
        await store.aclose()

    async def test_an_answer_that_could_not_be_stored_is_shared_all_the_same(self, site: Site) -> None:
        put_result = Put.UNAVAILABLE

        async def away(*_: Any) -> Put:
            return put_result

        site.store.put = away
        site.gate.clear()
        tasks = [asyncio.create_task(site.ask()) for _ in range(10)]
        await eventually(lambda: site.seen)
        await asyncio.sleep(0)
        site.gate.set()

        assert {reply.body for reply in await asyncio.gather(*tasks)} == {b"hello"}
        assert len(site.seen) == 1
        assert not site.hooks.stored[0].kept

    def test_what_is_no_url_is_refused_without_repeating_it(self) -> None:
        with pytest.raises(ValueError, match="not a Redis URL") as caught:
            RedisCacheStore("secret://password")
        assert "password@" not in str(caught.value)


async def back(store: RedisCacheStore, clock: FakeClock) -> Answer | None:
    found = await store.get("key", [])
    await clock.advance(1)
    return found.answer
