"""Rules of our own that override what an answer says of caches: for us alone, and only where a rule says so."""

from typing import Any

import pytest

from cortex_core.asgi.http_cache import CachePolicy, CacheRule, HttpCache, MemoryCacheStore, tag_key
from cortex_core.kernel import Principal, use_context
from cortex_core.testing import FakeClock
from cortex_core.testing.exchange import Exchange, exchange

KIM = Principal("kim")


class Origin:
    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        self.headers, self.status, self.asked = list(headers), status, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"{}"})


def cache(origin: Origin, clock: FakeClock, *, rule: CacheRule, **more: Any) -> HttpCache:
    policy = CachePolicy(rules=[rule], origin="http://here")
    return HttpCache(origin, store=MemoryCacheStore(clock=clock), policy=policy, clock=clock, **more)


SURROGATE = CacheRule("/", ttl=2.0, surrogate=True)


@pytest.mark.parametrize("says", [b"private, no-cache", b"private, max-age=600", b"max-age=0", b"no-cache", None])
async def test_our_time_takes_the_place_of_what_it_says(says: bytes | None) -> None:
    clock, origin = FakeClock(), Origin(*([(b"cache-control", says)] if says else []))
    app = cache(origin, clock, rule=SURROGATE)
    for _ in range(2):
        answer = await exchange(app)
        await clock.advance(1.9)
        assert answer.header("cache-control") == (says.decode() if says else None)
    assert origin.asked == 1

    await clock.advance(0.2)
    await exchange(app)

    assert origin.asked == 2


async def _asked_twice(origin: Origin, rule: CacheRule) -> int:
    app = cache(origin, FakeClock(), rule=rule)
    for _ in range(2):
        await exchange(app)
    return origin.asked


async def test_what_must_not_be_stored_is_not() -> None:
    assert await _asked_twice(Origin((b"cache-control", b"no-store, private")), SURROGATE) == 2


async def test_errors_keep_their_own_rules() -> None:
    assert await _asked_twice(Origin((b"cache-control", b"private, max-age=60"), status=404), SURROGATE) == 2


async def test_without_it_an_answer_has_the_last_word() -> None:
    assert await _asked_twice(Origin((b"cache-control", b"private")), CacheRule("/", ttl=2.0)) == 2


async def test_a_validated_answer_is_fresh_for_our_time_again() -> None:
    clock, origin = FakeClock(), Origin((b"etag", b'"1"'), (b"cache-control", b"private, no-cache"))
    app = cache(origin, clock, rule=SURROGATE)
    await exchange(app)
    await clock.advance(2.5)
    origin.status = 304
    assert "fwd=stale" in ((await exchange(app)).header("cache-status") or "")

    assert "hit; ttl=2" in ((await exchange(app)).header("cache-status") or "")


@pytest.mark.parametrize(("authorised", "asked"), [(True, 1), (False, 2)])
async def test_credentials_count_unless_they_were_checked_before(authorised: bool, asked: int) -> None:
    origin = Origin()
    app = cache(origin, FakeClock(), rule=CacheRule("/", ttl=2.0, surrogate=True, authorised=authorised))
    with use_context(principal=KIM):
        for key in ("ck_a", "ck_b"):
            await exchange(app, headers=[("X-API-Key", key), ("Authorization", "Bearer x")])

    assert origin.asked == asked


def test_a_surrogate_has_a_time() -> None:
    with pytest.raises(ValueError, match="ttl"):
        CacheRule("/", surrogate=True)


async def test_a_date_of_whole_seconds_costs_no_part_of_our_time() -> None:
    clock = FakeClock()
    await clock.advance(0.9)
    origin = Origin((b"date", b"Mon, 23 Nov 2026 12:00:00 GMT"))
    app = cache(origin, clock, rule=SURROGATE)
    await exchange(app)
    await clock.advance(1.95)

    await exchange(app)

    assert origin.asked == 1


async def test_a_change_takes_what_it_is_said_to_change() -> None:
    origin, clock = Origin(), FakeClock()
    app = cache(origin, clock, rule=SURROGATE, tags=lambda scope: [scope["path"]], changes=lambda _: ["/a", "/b"])

    async def read() -> list[str]:
        answers: list[Exchange] = [await exchange(app, path=path) for path in ("/a", "/b", "/c")]
        return [(answer.header("cache-status") or "").split("; ")[1] for answer in answers]

    await read()
    origin.status = 409
    await exchange(app, "POST", "/somewhere")
    assert await read() == ["hit", "hit", "hit"]

    origin.status = 200
    await exchange(app, "POST", "/somewhere")

    assert await read() == ["fwd=uri-miss", "fwd=uri-miss", "hit"]


async def test_the_memory_store_can_be_asked_and_told_without_waiting() -> None:
    origin, clock = Origin(), FakeClock()
    app = cache(origin, clock, rule=SURROGATE, tags=lambda scope: [scope["path"]])
    await exchange(app, path="/a")
    store: Any = app.store
    (key,) = store._keys
    answer = store.find(key, ()).answer
    assert store.holds(key, answer)

    assert store.purge(tags=[tag_key("public", "/a")]) == 1

    assert not store.holds(key, answer)
    assert store.find(key, ()).answer is None
