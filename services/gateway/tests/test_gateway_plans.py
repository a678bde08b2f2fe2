"""How often who may ask: keys by their plan, users by theirs, addresses, and attempts that fail."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from cortex_core.kernel import Principal
from cortex_core.security.api_keys import KeyDesk, KeyWish, MemoryApiKeys, Peppers, new_key
from cortex_gateway.limits import CallerLimits
from cortex_gateway.settings import Settings

PEPPER = "0123456789abcdef" * 4
ROOT = Principal("root", "public", frozenset({"orders:read"}), method="jwt")
WRONG = new_key(f"key_{'0' * 32}").text


@pytest.fixture
def store() -> MemoryApiKeys:
    return MemoryApiKeys()


@pytest.fixture
def desk(store: MemoryApiKeys) -> KeyDesk:
    return KeyDesk(store, Peppers.of(PEPPER), plans={"free", "pro", "gone"})


async def a_key(desk: KeyDesk, plan: str | None = None) -> dict[str, str]:
    issued = await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"}), "one-of-all", plan))
    return {"X-API-Key": issued.secret}


async def ask(client: Any, headers: Mapping[str, str] | None = None, path: str = "/api/orders") -> Any:
    async with client.get(path, headers=headers) as reply:
        await reply.read()
        return reply


async def statuses(client: Any, times: int, headers: Mapping[str, str] | None = None) -> list[int]:
    return [(await ask(client, headers)).status for _ in range(times)]


def told(**settings: Any) -> dict[str, Any]:
    few = {"free": (2, 60.0), "pro": (4, 60.0), "standard": (3, 60.0)}
    return {"key_pepper": PEPPER, "rate_limit_per_minute": 1, "plans": few, **settings}


class TestPlans:
    async def test_a_key_may_ask_as_often_as_its_plan_says_whatever_others_do(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys
    ) -> None:
        free, pro, another = await a_key(desk, "free"), await a_key(desk, "pro"), await a_key(desk, "free")
        async with start_gateway(told(), {"api_keys": store}, order=recorder()) as client:
            assert await statuses(client, 3, free) == [200, 200, 429]
            assert await statuses(client, 5, pro) == [200, 200, 200, 200, 429]
            assert await statuses(client, 3, another) == [200, 200, 429]
            assert await statuses(client, 2) == [200, 429], "the address has its own"

    @pytest.mark.parametrize("plan", [None, "gone"])
    async def test_without_a_plan_that_there_is_it_has_the_default(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys, plan: str | None
    ) -> None:
        key = await a_key(desk, plan)
        async with start_gateway(told(), {"api_keys": store}, order=recorder()) as client:
            assert await statuses(client, 4, key) == [200, 200, 200, 429]

    async def test_every_answer_says_which_limit_it_is(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys
    ) -> None:
        settings = told(failed_attempts_per_minute=20)
        async with start_gateway(settings, {"api_keys": store}, order=recorder()) as client:
            first = await ask(client, await a_key(desk, "free"))
            refused = await ask(client, {"X-API-Key": WRONG})

        assert first.headers["RateLimit-Policy"] == '"free";q=2;w=60'
        assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
        assert refused.headers["RateLimit-Policy"] == '"failed-attempts";q=20;w=60'

    async def test_the_policy_header_names_the_limit_that_was_counted(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys
    ) -> None:
        settings, key = told(failed_attempts_per_minute=20), await a_key(desk, "free")
        async with start_gateway(settings, {"api_keys": store}, order=recorder(), storage=recorder()) as client:
            asked = [(key, "/api/orders"), (key, "/api/orders"), (key, "/api/orders"), (None, "/api/storage/files")]
            replies = [
                await ask(client, headers, path) for headers, path in [*asked, ({"X-API-Key": WRONG}, "/api/orders")]
            ]

        found = [re.findall(r'rate="([^"]*)"', reply.headers["Cortex-Policy"]) for reply in replies]
        assert found == [["free"], ["free"], ["free"], ["default"], ["failed-attempts"]]
        assert [reply.status for reply in replies[:3]] == [200, 200, 429]

    async def test_without_a_limit_for_addresses_nobody_has_one(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys
    ) -> None:
        key = await a_key(desk, "free")
        settings = told(rate_limit_per_minute=0)
        async with start_gateway(settings, {"api_keys": store}, order=recorder()) as client:
            assert await statuses(client, 5, key) == [200] * 5
            assert "RateLimit-Policy" not in (await ask(client, key)).headers

    async def test_replicas_share_what_is_left(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys, redis_url: str
    ) -> None:
        key = await a_key(desk, "pro")
        settings = told(rate_limit_store="redis", redis_url=redis_url)
        parts = {"api_keys": store}
        async with (
            start_gateway(settings, parts, order=recorder()) as one,
            start_gateway(settings, parts, order=recorder()) as other,
        ):
            found = [(await ask(client, key)).status for client in (one, other, one, other, one)]

        assert found == [200, 200, 200, 200, 429]


class TestFailedAttempts:
    async def test_an_address_may_fail_so_often_and_those_with_the_right_key_beside_it_are_served(
        self, start_gateway: Any, recorder: Any, desk: KeyDesk, store: MemoryApiKeys
    ) -> None:
        key = await a_key(desk, "pro")
        async with start_gateway(told(failed_attempts_per_minute=20), {"api_keys": store}, order=recorder()) as client:
            failed = await statuses(client, 25, {"X-API-Key": WRONG})
            reply = await ask(client, {"X-API-Key": WRONG})
            async with client.get("/metrics") as answer:
                metrics = await answer.text()

            assert failed == [401] * 20 + [429] * 5
            assert reply.status == 429
            assert 1 <= int(reply.headers["Retry-After"]) <= 60
            assert await statuses(client, 4, key) == [200] * 4
            assert await statuses(client, 1) == [200], "and who names nobody has the address's own"
        assert 'cortex_auth_failures_total{reason="unknown"} 26.0' in metrics

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer x.y.z"},
            {"Authorization": "Basic cm9vdDpyb290"},
            {"X-API-Key": "ck_mistyped"},
            {"X-API-Key": WRONG, "Authorization": "Bearer x.y.z"},
        ],
    )
    async def test_whatever_is_wrong_with_it_counts(
        self, start_gateway: Any, recorder: Any, headers: dict[str, str], store: MemoryApiKeys
    ) -> None:
        settings = told(failed_attempts_per_minute=1, rate_limit_per_minute=0)
        async with start_gateway(settings, {"api_keys": store}, order=recorder()) as client:
            found = await statuses(client, 2, headers)

        assert found[0] in {400, 401}
        assert found[1] == 429

    async def test_on_an_open_route_it_counts_as_well(self, start_gateway: Any, store: MemoryApiKeys) -> None:
        """Or the documentation would be where secrets are tried."""
        settings = told(failed_attempts_per_minute=1)
        async with start_gateway(settings, {"api_keys": store}) as client:
            found = [(await ask(client, {"X-API-Key": WRONG}, "/docs")).status for _ in range(2)]

        assert found == [200, 429]

    async def test_over_all_replicas(
        self, start_gateway: Any, recorder: Any, store: MemoryApiKeys, redis_url: str
    ) -> None:
        settings = told(failed_attempts_per_minute=3, rate_limit_store="redis", redis_url=redis_url)
        parts = {"api_keys": store}
        async with (
            start_gateway(settings, parts, order=recorder()) as one,
            start_gateway(settings, parts, order=recorder()) as other,
        ):
            found = [(await ask(client, {"X-API-Key": WRONG})).status for client in (one, other, one, other)]

        assert found == [401, 401, 401, 429]

    async def test_where_it_is_off_nobody_counts_them(
        self, start_gateway: Any, recorder: Any, store: MemoryApiKeys
    ) -> None:
        settings = told(failed_attempts_per_minute=0, rate_limit_per_minute=0)
        async with start_gateway(settings, {"api_keys": store}, order=recorder()) as client:
            assert await statuses(client, 30, {"X-API-Key": WRONG}) == [401] * 30


class TestUsers:
    """Of a principal alone: what the express lane asks, too."""

    LIMITS = CallerLimits.of(
        per_minute=100, failed_per_minute=20, plans={"free": (1, 60.0), "standard": (9, 1.0)}, default_plan="standard"
    )

    @pytest.mark.parametrize(
        ("principal", "name"),
        [
            (None, "default"),
            (Principal("anonymous"), "default"),
            (Principal("ann", method="jwt"), "standard"),
            (Principal("ann", method="jwt", plan="free"), "free"),
            (Principal("ann", method="jwt", plan="made-up"), "standard"),
            (Principal("bot", method="api-key", key_id="key_1", plan="free"), "free"),
            (Principal("bot", method="api-key", key_id="key_1"), "standard"),
        ],
    )
    def test_each_has_the_limit_of_what_they_are(self, principal: Principal | None, name: str) -> None:
        policy = self.LIMITS.policy(principal)

        assert policy is not None
        assert policy.name == name


class TestSettings:
    def test_plans_are_read(self) -> None:
        read = Settings(env="test", plans="free=60/min, pro = 100/s,big=5/h", default_plan="pro").plans

        assert read == {"free": (60, 60.0), "pro": (100, 1.0), "big": (5, 3600.0)}

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "free",
            "free=60",
            "free=60/day",
            "free=0/min",
            "free=-1/min",
            "free=1.5/min",
            "free=99999999999/min",
            "Free=1/min",
            "free=1/min,free=2/min",
            "default=1/min",
            "failed-attempts=1/min",
            "standard=1/min;pro=2/min",
            ",".join(f"p{n}=1/s" for n in range(33)),
        ],
    )
    def test_plans_that_make_no_sense_are_named(self, value: str) -> None:
        with pytest.raises(ValidationError, match="plan"):
            Settings(env="test", plans=value, default_plan="free")

    def test_the_default_is_one_of_them(self) -> None:
        with pytest.raises(ValidationError, match="GATEWAY_DEFAULT_PLAN must be one of GATEWAY_PLANS: free"):
            Settings(env="test", plans="free=1/min", default_plan="pro")
