"""What every store of the HTTP cache must do. An adapter's test subclasses `CacheStoreContract`, provides `store`
and lets time pass.

Outages, expiry and bounds differ by adapter and are tested with each.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cortex_core.asgi.http_cache import Answer, CacheStore, Put
from cortex_core.asgi.http_cache.fields import variant

KEEP = 60.0


def an_answer(body: bytes = b"body", *, tags: tuple[str, ...] = (), vary: tuple[str, ...] = (), **asked: str) -> Answer:
    """`asked` are the headers of the request that it answers."""
    return Answer(
        status=200,
        headers=(
            (b"cache-control", b"max-age=60"),
            (b"x-latin", b"\xe4\xf6"),
            (b"set-cookie", b"a"),
            (b"set-cookie", b"b"),
        ),
        body=body,
        requested=1_700_000_000.25,
        received=1_700_000_001.5,
        assigned=2.5,
        vary=vary,
        variant=variant(vary, headers(**asked)),
        tags=tags,
        route="/things/{id}",
    )


def headers(**asked: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in asked.items()]


async def stored(store: CacheStore, key: str, answer: Answer, keep: float = KEEP) -> Put:
    """Puts it as who has just looked for it."""
    ticket = (await store.get(key, [])).ticket
    assert ticket is not None
    return await store.put(key, answer, ticket, keep)


class CacheStoreContract:
    """See the module."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError("the adapter's test provides it")

    async def passes(self, seconds: float) -> None:
        """Lets so much of the store's time pass."""
        raise NotImplementedError("the adapter's test knows its store's clock")

    async def test_an_answer_comes_back_as_it_was_put(self, store: CacheStore) -> None:
        answer = an_answer(bytes(range(256)) * 100, tags=("a", "ä b"))

        assert await stored(store, "key", answer) is Put.STORED

        found = await store.get("key", [])
        assert (found.answer, found.vary, found.others) == (answer, (), False)

    async def test_an_empty_body_is_a_body(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(b""))

        found = await store.get("key", [])
        assert found.answer is not None
        assert found.answer.body == b""

    async def test_what_was_never_put_is_not_found(self, store: CacheStore) -> None:
        found = await store.get("key", [])

        assert (found.answer, found.others, found.vary) == (None, False, ())
        assert found.ticket is not None

    async def test_a_later_answer_takes_the_place_of_an_earlier_one(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(b"old", tags=("old",)))
        await stored(store, "key", an_answer(b"new", tags=("new",)))

        found = await store.get("key", [])
        assert found.answer is not None
        assert found.answer.body == b"new"

    async def test_any_text_is_a_key_and_a_tag(self, store: CacheStore) -> None:
        names = ["", "a b", "ä", "\n", "\0", "*", "{a}", "x" * 9_000, "\ud800"]
        for name in names:
            await stored(store, name, an_answer(name.encode("utf-8", "replace"), tags=(name,)))

        for name in names:
            found = await store.get(name, [])
            assert found.answer is not None
            assert found.answer.body == name.encode("utf-8", "replace")
            assert await store.invalidate(tags=[name]) == 1

    async def test_variants_live_beside_each_other(self, store: CacheStore) -> None:
        for language in ("de", "fr"):
            await stored(
                store, "key", an_answer(language.encode(), vary=("accept-language",), accept_language=language)
            )

        for language in ("de", "fr"):
            found = await store.get("key", headers(accept_language=language))
            assert found.answer is not None
            assert found.answer.body == language.encode()
        other = await store.get("key", headers(accept_language="it"))
        assert (other.answer, other.others, other.vary) == (None, True, ("accept-language",))

    async def test_a_variant_is_kept_no_longer_for_the_sake_of_another(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(vary=("x",), x="short"), keep=0.2)
        await stored(store, "key", an_answer(vary=("x",), x="long"), keep=60)

        await self.passes(0.25)

        found = await store.get("key", headers(x="short"))
        assert (found.answer, found.ticket is not None) == (None, True)
        assert (await store.get("key", headers(x="long"))).answer is not None

    async def test_a_later_answer_is_kept_for_its_own_time(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(b"old"), keep=60)
        await stored(store, "key", an_answer(b"new"), keep=0.2)

        await self.passes(0.25)

        assert (await store.get("key", [])).answer is None

    async def test_an_answer_that_varies_otherwise_ends_the_earlier_ones(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(b"de", vary=("accept-language",), accept_language="de"))
        await stored(store, "key", an_answer(b"all"))

        for asked in ({"accept_language": "de"}, {}):
            found = await store.get("key", headers(**asked))
            assert found.answer is not None
            assert found.answer.body == b"all"

    async def test_the_variants_of_a_key_are_bounded(self, store: CacheStore) -> None:
        for number in range(100):
            await stored(store, "key", an_answer(vary=("x",), x=str(number)))

        found = [await store.get("key", headers(x=str(number))) for number in range(100)]
        assert 1 <= sum(each.answer is not None for each in found) <= 32
        assert found[99].answer is not None

    async def test_keys_can_be_invalidated(self, store: CacheStore) -> None:
        for key in ("a", "b", "c"):
            await stored(store, key, an_answer())

        assert await store.invalidate(keys=["a", "b", "never"]) == 2

        assert [(await store.get(key, [])).answer is None for key in ("a", "b", "c")] == [True, True, False]

    async def test_tags_name_all_answers_that_carry_them(self, store: CacheStore) -> None:
        await stored(store, "one", an_answer(tags=("order:1", "orders")))
        await stored(store, "two", an_answer(tags=("order:2", "orders")))
        await stored(store, "three", an_answer(tags=("files",)))

        assert await store.invalidate(tags=["order:1"]) == 1
        assert await store.invalidate(tags=["orders", "order:2"]) == 1
        assert await store.invalidate(tags=["orders"]) == 0

        assert (await store.get("three", [])).answer is not None

    async def test_a_tag_of_any_variant_names_the_key(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(vary=("x",), x="1", tags=("one",)))
        await stored(store, "key", an_answer(vary=("x",), x="2", tags=("two",)))

        assert await store.invalidate(tags=["one"]) == 1

        assert (await store.get("key", headers(x="2"))).answer is None

    async def test_keys_and_tags_do_not_meet(self, store: CacheStore) -> None:
        await stored(store, "name", an_answer(tags=("tag",)))

        assert await store.invalidate(tags=["name"], keys=["tag"]) == 0

    async def test_a_ticket_from_before_a_tags_invalidation_is_outdated(self, store: CacheStore) -> None:
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None
        await store.invalidate(tags=["orders"])

        assert await store.put("key", an_answer(tags=("orders",)), ticket, KEEP) is Put.OUTDATED
        assert (await store.get("key", [])).answer is None
        assert await store.put("key", an_answer(tags=("others",)), ticket, KEEP) is Put.STORED

    async def test_a_ticket_from_before_a_keys_invalidation_is_outdated(self, store: CacheStore) -> None:
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None
        await store.invalidate(keys=["key"])

        assert await store.put("key", an_answer(), ticket, KEEP) is Put.OUTDATED
        assert await store.put("another", an_answer(), ticket, KEEP) is Put.STORED
        assert await stored(store, "key", an_answer()) is Put.STORED

    async def test_a_ticket_from_before_everything_went_is_outdated(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer(tags=("a",)))
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None

        await store.clear()

        assert (await store.get("key", [])).answer is None
        assert await store.put("key", an_answer(), ticket, KEEP) is Put.OUTDATED
        assert await stored(store, "key", an_answer()) is Put.STORED

    async def test_an_answer_may_be_put_again_with_the_ticket_it_was_found_with(self, store: CacheStore) -> None:
        await stored(store, "key", an_answer())
        found = await store.get("key", [])
        assert found.answer is not None
        assert found.ticket is not None

        assert await store.put("key", replace(found.answer, received=2e9), found.ticket, KEEP) is Put.STORED

    async def test_more_invalidations_than_are_remembered_outdate_all_tickets_from_before(
        self, store: CacheStore
    ) -> None:
        ticket = (await store.get("key", [])).ticket
        assert ticket is not None
        for page in range(11):
            await store.invalidate(tags=[f"{page}-{number}" for number in range(1_000)])

        assert await store.put("key", an_answer(), ticket, KEEP) is Put.OUTDATED
        assert await stored(store, "key", an_answer()) is Put.STORED

    async def test_whatever_the_order_nothing_from_before_an_invalidation_is_found_after_it(
        self, store: CacheStore
    ) -> None:
        """Readers who store what they read of the truth, and a writer who changes it: the race itself."""
        truth = 0

        async def reads() -> None:
            for _ in range(50):
                found = await store.get("key", [])
                seen = truth
                await asyncio.sleep(0)
                assert found.ticket is not None
                await store.put("key", an_answer(str(seen).encode(), tags=("truth",)), found.ticket, KEEP)

        async def writes() -> None:
            nonlocal truth
            for number in range(1, 20):
                truth = number
                await store.invalidate(tags=["truth"])
                found = await store.get("key", [])
                assert found.answer is None or int(found.answer.body) >= number
                await asyncio.sleep(0)

        await asyncio.gather(*(reads() for _ in range(8)), writes())

        found = await store.get("key", [])
        assert found.answer is None or found.answer.body == b"19"

    async def test_a_store_can_be_closed(self, store: CacheStore) -> None:
        await store.get("key", [])

        await store.aclose()
