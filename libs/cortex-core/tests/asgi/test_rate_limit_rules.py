"""Which requests are limited, against what, and for whom."""

from typing import Any

import pytest

from cortex_core.asgi import Rule, by_api_key, by_client
from cortex_core.ratelimit import FixedWindow
from cortex_core.testing import FakeClock

from .limit_requests import PER_CLIENT, RULES, ask, limited, request, statuses


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestRules:
    async def test_the_first_rule_that_covers_a_request_decides(self, clock: FakeClock) -> None:
        app = limited(
            clock,
            [
                Rule([(FixedWindow(1, 60, name="writes"), by_client())], "/api/orders", frozenset({"POST"})),
                Rule([(FixedWindow(2, 60, name="search"), by_client())], when=lambda scope: b"q=" in scope["query"]),
                *RULES,
            ],
        )
        search = {"query": b"q=book"}

        assert await statuses(app, *[request("/api/orders/1", "POST", query=b"") for _ in range(2)]) == [200, 429]
        assert await statuses(app, *[request("/api", **search) for _ in range(3)]) == [200, 200, 429]
        assert await statuses(app, *[request("/api/orders", query=b"") for _ in range(4)]) == [200, 200, 200, 429]

    @pytest.mark.parametrize(
        ("path", "covered"),
        [("/api", True), ("/api/", True), ("/api/a", True), ("/apiary", False), ("/", False), ("//api", False)],
    )
    @pytest.mark.parametrize("prefix", ["/api", "/api/"])
    async def test_a_prefix_is_whole_segments(self, clock: FakeClock, path: str, covered: bool, prefix: str) -> None:
        app = limited(clock, [Rule([(PER_CLIENT, by_client())], prefix)])
        expected = covered and not (prefix == "/api/" and path == "/api")

        assert ("x-ratelimit-limit" in (await ask(app, request(path)))[1]) == expected

    async def test_get_is_head_as_well(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(PER_CLIENT, by_client())], methods={"GET"})])
        asked = [request(method=method) for method in ("GET", "HEAD", "GET", "HEAD", "POST")]

        assert await statuses(app, *asked) == [200, 200, 200, 429, 200]

    async def test_head_alone_is_no_get(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(FixedWindow(1, 60), by_client())], methods={"HEAD"})])

        assert await statuses(app, *[request(method=method) for method in ("HEAD", "GET", "HEAD")]) == [200, 200, 429]

    async def test_a_rule_may_cost_several_units(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(PER_CLIENT, by_client())], cost=2)])

        assert await statuses(app, request(), request()) == [200, 429]

    async def test_a_key_function_that_finds_nobody_limits_nobody(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(FixedWindow(1, 60), by_api_key())])])
        with_key = request(headers=[(b"x-api-key", b"k")])

        assert await statuses(app, request(), request(), with_key, with_key) == [200, 200, 200, 429]

    async def test_each_client_has_its_own_limit(self, clock: FakeClock) -> None:
        app = limited(clock)

        assert (
            await statuses(app, *[request(peer=f"192.0.2.{1 + each % 2}") for each in range(8)])
            == [200] * 6 + [429] * 2
        )

    @pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
    async def test_probes_and_metrics_are_never_limited(self, clock: FakeClock, path: str) -> None:
        assert await statuses(limited(clock), *[request(path)] * 10) == [200] * 10

    @pytest.mark.parametrize("path", ["/healthy", "/health/", "/health/made-up", "/metrics/", "//health"])
    async def test_what_only_looks_exempt_is_not(self, clock: FakeClock, path: str) -> None:
        assert await statuses(limited(clock), *[request(path)] * 4) == [200, 200, 200, 429]

    async def test_what_is_exempt_can_be_said(self, clock: FakeClock) -> None:
        app = limited(clock, exempt=["/static/*"])

        assert await statuses(app, *[request("/static/x.js")] * 5, *[request("/health")] * 4) == [200] * 8 + [429]

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"limits": []}, "limits"),
            ({"prefix": "api"}, "prefix"),
            ({"cost": 0}, "cost"),
            ({"cost": 4}, "cost must be from 1 to the least limit"),
        ],
    )
    def test_a_bad_rule_is_named(self, settings: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=named):
            Rule(**{"limits": [(PER_CLIENT, by_client())], **settings})
