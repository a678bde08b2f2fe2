"""API keys in services: accepted by each, and by none as soon as they end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import pytest
from aiohttp import ClientSession
from fastapi import APIRouter, FastAPI

from cortex_core.chassis import Config, Platform, create_app, requires
from cortex_core.events import CloudEvent, EventBus, MemoryEventBus
from cortex_core.events.redis import RedisEventBus
from cortex_core.kernel import current
from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys import ApiKey, ApiKeys, Issued, KeyDesk, KeyWish, MemoryApiKeys, Peppers
from cortex_core.security.redis import RedisApiKeys
from cortex_core.testing import FakeClock, RedisServer, assert_bound, eventually, serving

PEPPER = "0123456789abcdef" * 4
ROOT = Principal("root", "public", frozenset({"orders:read", "orders:write"}), method="jwt")

router = APIRouter()


@router.get("/whose", dependencies=[requires("orders:read")])
async def whose() -> dict[str, Any]:
    principal = current().principal
    assert principal is not None
    return {"subject": principal.subject, "method": principal.method, "key": principal.key_id, "plan": principal.plan}


class Settings(Config):
    service: ClassVar[str] = "kettle"


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield


def an_app(clock: FakeClock, bus: EventBus, keys: ApiKeys | None = None, **settings: Any) -> FastAPI:
    told = {"env": "test", "anonymous": False, "key_pepper": PEPPER, **settings}
    return create_app(
        Settings(**told), running=running, routers=[router], clock=clock, bus=bus, api_keys=keys, bus_required=False
    )


async def status(client: ClientSession, secret: str) -> int:
    async with client.get("/whose", headers={"Authorization": f"Bearer {secret}"}) as answer:
        await answer.read()
        return answer.status


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(clock: FakeClock) -> MemoryApiKeys:
    return MemoryApiKeys(clock=clock)


@pytest.fixture
def desk(keys: MemoryApiKeys, clock: FakeClock) -> KeyDesk:
    return KeyDesk(keys, Peppers.of(PEPPER), plans={"pro"}, clock=clock)


class TestOneService:
    @pytest.fixture
    async def client(self, clock: FakeClock, keys: MemoryApiKeys) -> AsyncIterator[ClientSession]:
        async with serving(an_app(clock, MemoryEventBus(), keys)) as client:
            yield client

    @pytest.mark.parametrize(("header", "before"), [("Authorization", "Bearer "), ("X-API-Key", "")])
    async def test_a_key_says_who_asks(self, client: ClientSession, desk: KeyDesk, header: str, before: str) -> None:
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"}), subject="export", plan="pro"))

        async with client.get("/whose", headers={header: before + issued.secret}) as answer:
            told = await answer.json()

        assert told == {"subject": "export", "method": "api-key", "key": issued.key.id, "plan": "pro"}

    async def test_it_may_what_its_scopes_say(self, client: ClientSession, desk: KeyDesk) -> None:
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:write"})))

        assert await status(client, issued.secret) == 403

    @pytest.mark.parametrize("place", [3, 40, 84])
    async def test_a_typo_is_told_without_asking_the_store(
        self, client: ClientSession, desk: KeyDesk, place: int, monkeypatch: pytest.MonkeyPatch, keys: MemoryApiKeys
    ) -> None:
        secret = (await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))).secret
        asked: list[str] = []
        find = keys.find
        monkeypatch.setattr(keys, "find", lambda key_id: (asked.append(key_id), find(key_id))[1])
        wrong = secret[:place] + ("1" if secret[place] == "0" else "0") + secret[place + 1 :]

        async with client.get("/whose", headers={"X-API-Key": wrong}) as answer:
            told = await answer.json()

        assert (answer.status, told["code"], asked) == (401, "auth.invalid-credential", [])
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert wrong not in str(told)
        assert await status(client, secret) == 200

    async def test_a_secret_nobody_made_is_no_key_even_for_an_id_that_there_is(
        self, client: ClientSession, desk: KeyDesk, clock: FakeClock
    ) -> None:
        from cortex_core.security.api_keys import new_key

        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))

        assert await status(client, new_key(issued.key.id).text) == 401

    async def test_one_that_has_expired_is_refused_also_where_it_was_remembered(
        self, client: ClientSession, desk: KeyDesk, clock: FakeClock
    ) -> None:
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"}), lives=70))
        await clock.advance(50)
        assert await status(client, issued.secret) == 200

        await clock.advance(19)
        assert await status(client, issued.secret) == 200
        await clock.advance(1)

        assert await status(client, issued.secret) == 401

    async def test_after_a_rotation_the_old_secret_holds_for_its_grace_and_no_longer(
        self, client: ClientSession, desk: KeyDesk, clock: FakeClock
    ) -> None:
        first = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
        second = await desk.rotate(ROOT, first.key.id, grace=10)
        assert [await status(client, each.secret) for each in (first, second)] == [200, 200]

        await clock.advance(10)

        assert [await status(client, each.secret) for each in (first, second)] == [401, 200]

    async def test_the_last_use_is_written_once_a_minute(
        self, client: ClientSession, desk: KeyDesk, clock: FakeClock, keys: MemoryApiKeys
    ) -> None:
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
        used = clock.now()
        assert [await status(client, issued.secret) for _ in range(5)] == [200] * 5
        assert (await desk.get(ROOT, issued.key.id)).last_used_at is None

        await clock.advance(61)

        assert (await desk.get(ROOT, issued.key.id)).last_used_at == used

    async def test_what_was_used_last_is_written_at_the_end(
        self, clock: FakeClock, keys: MemoryApiKeys, desk: KeyDesk
    ) -> None:
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
        async with serving(an_app(clock, MemoryEventBus(), keys)) as client:
            assert await status(client, issued.secret) == 200

        assert (await desk.get(ROOT, issued.key.id)).last_used_at == clock.now()


async def test_without_a_pepper_no_key_is_accepted(clock: FakeClock, desk: KeyDesk, keys: MemoryApiKeys) -> None:
    issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))

    async with serving(an_app(clock, MemoryEventBus(), keys, key_pepper=None)) as client:
        assert await status(client, issued.secret) == 401


async def test_another_pepper_knows_nobody(clock: FakeClock, desk: KeyDesk, keys: MemoryApiKeys) -> None:
    issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
    other = "f" * 64

    async with serving(an_app(clock, MemoryEventBus(), keys, key_pepper=other)) as client:
        assert await status(client, issued.secret) == 401
    async with serving(an_app(clock, MemoryEventBus(), keys, key_pepper=f"{other},{PEPPER}")) as client:
        assert await status(client, issued.secret) == 200


class TestReplicas:
    """Two services on one Redis, whose clock stands still: nothing is forgotten but by what is tested."""

    @pytest.fixture
    async def bus(self, redis_url: str) -> AsyncIterator[RedisEventBus]:
        bus = RedisEventBus(redis_url, namespace="cortex")
        yield bus
        await bus.aclose()

    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[RedisApiKeys]:
        store = RedisApiKeys(redis_url, timeout=5)
        yield store
        await store.aclose()

    @pytest.fixture
    async def replicas(self, redis_url: str, clock: FakeClock) -> AsyncIterator[list[ClientSession]]:
        async with AsyncExitStack() as stack:
            buses = [RedisEventBus(redis_url, namespace="cortex") for _ in range(2)]
            stores = [RedisApiKeys(redis_url, timeout=5, clock=clock) for _ in range(2)]
            apps = [an_app(clock, bus, store, redis_url=redis_url) for bus, store in zip(buses, stores, strict=True)]
            yield [await stack.enter_async_context(serving(app)) for app in apps]

    @staticmethod
    async def known(replicas: list[ClientSession], store: RedisApiKeys, desk: KeyDesk) -> Issued:
        """A key that all remember."""
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
        assert [await status(each, issued.secret) for each in replicas] == [200, 200]
        return issued

    @staticmethod
    def a_desk(store: RedisApiKeys, bus: EventBus | None) -> KeyDesk:
        async def announce(ending: str, key: ApiKey) -> None:
            if bus is not None:
                await bus.publish([CloudEvent(f"key.{ending}", "test", key.id, {}, tenant=key.tenant)])

        return KeyDesk(store, Peppers.of(PEPPER), announce=announce)

    @pytest.mark.bound
    @pytest.mark.parametrize("ending", ["revoke", "rotate"])
    async def test_what_ends_ends_everywhere_at_once(
        self, replicas: list[ClientSession], store: RedisApiKeys, bus: RedisEventBus, ending: str
    ) -> None:
        desk = self.a_desk(store, bus)
        issued = await self.known(replicas, store, desk)
        began = time.monotonic()
        await getattr(desk, ending)(ROOT, issued.key.id)

        async def refused() -> bool:
            return [await status(each, issued.secret) for each in replicas] == [401, 401]

        await eventually(refused)

        assert_bound(time.monotonic() - began, 2.0)

    async def test_without_the_event_it_is_remembered_until_the_store_is_asked(
        self, replicas: list[ClientSession], store: RedisApiKeys, clock: FakeClock
    ) -> None:
        """The control: what makes it end at once is the event. And what heals the loss of one: five seconds."""
        desk = self.a_desk(store, None)
        issued = await self.known(replicas, store, desk)
        await desk.revoke(ROOT, issued.key.id)
        for _ in range(20):
            assert [await status(each, issued.secret) for each in replicas] == [200, 200]

        await clock.advance(5)

        async def refused() -> bool:
            return [await status(each, issued.secret) for each in replicas] == [401, 401]

        await eventually(refused)

    async def test_while_redis_is_away_known_keys_go_on_and_unknown_ones_wait(
        self, replicas: list[ClientSession], store: RedisApiKeys, redis_server: RedisServer, clock: FakeClock
    ) -> None:
        desk = self.a_desk(store, None)
        known = await self.known(replicas, store, desk)
        unknown = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))
        redis_server.stop(kill=True)

        assert [await status(each, known.secret) for each in replicas] == [200, 200]
        async with replicas[0].get("/whose", headers={"X-API-Key": unknown.secret}) as answer:
            told = await answer.json()
            assert (answer.status, told["code"]) == (503, "auth.unavailable")
            assert "Retry-After" in answer.headers
        await clock.advance(61)
        assert [await status(each, known.secret) for each in replicas] == [503, 503]
        async with replicas[0].get("/health") as answer:
            assert (await answer.json())["checks"]["key-store"]["status"] == "down"

        redis_server.start()
        await clock.advance(1)

        async def served() -> bool:
            return [await status(each, unknown.secret) for each in replicas] == [200, 200]

        await eventually(served)

    async def test_used_by_a_hundred_while_it_is_revoked_nobody_gets_in_afterwards(
        self, replicas: list[ClientSession], store: RedisApiKeys, bus: RedisEventBus
    ) -> None:
        desk = self.a_desk(store, bus)
        issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))

        using = [asyncio.create_task(status(replicas[n % 2], issued.secret)) for n in range(100)]
        await desk.revoke(ROOT, issued.key.id)
        during = await asyncio.gather(*using)

        assert set(during) <= {200, 401}

        async def refused() -> bool:
            return [await status(each, issued.secret) for each in replicas] == [401, 401]

        await eventually(refused)
        assert [await status(each, issued.secret) for each in replicas for _ in range(20)] == [401] * 40
