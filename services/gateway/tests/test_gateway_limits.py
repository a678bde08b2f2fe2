"""How often a client may ask, who is a client, and what the settings refuse."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from cortex_core.testing import RedisServer
from cortex_gateway import routes, wiring
from cortex_gateway.routes import Rate, RouteTable
from cortex_gateway.settings import Settings


async def status_of(client: Any, path: str = "/api/orders", headers: Mapping[str, str] | None = None) -> int:
    async with client.get(path, headers=headers) as reply:
        await reply.read()
        return int(reply.status)


class TestLimits:
    async def test_by_default_a_client_may_ask_a_hundred_times_a_minute(
        self, start_gateway: Any, recorder: Any
    ) -> None:
        default = {"rate_limit_per_minute": Settings.model_fields["rate_limit_per_minute"].default}
        async with start_gateway(default, order=recorder()) as client:
            statuses = [await status_of(client) for _ in range(110)]

        assert statuses == [200] * 100 + [429] * 10

    async def test_every_answer_says_what_is_left(self, start_gateway: Any, recorder: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 3}, order=recorder()) as client:
            first, second = [await client.get(path) for path in ("/api/orders", "/api/nowhere")]

        assert (first.status, first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == (
            200,
            "3",
            "2",
        )
        assert first.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert first.headers["RateLimit"].startswith('"default";r=2;t=')
        assert (second.status, second.headers["X-RateLimit-Remaining"]) == (404, "1")

    async def test_a_refusal_is_a_problem_that_says_when_to_come_back(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder()
        async with start_gateway({"rate_limit_per_minute": 1}, order=order) as client:
            await status_of(client)
            async with client.get("/api/orders") as reply:
                told = await reply.json()

        assert (reply.status, reply.content_type) == (429, "application/problem+json")
        assert (told["code"], told["limit"]) == ("rate-limit.exceeded", 1)
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
        assert reply.headers.getall("X-RateLimit-Remaining") == ["0"]
        assert "Content-Security-Policy" in reply.headers
        assert len(order.requests) == 1

    async def test_probes_and_metrics_are_never_limited(self, start_gateway: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 1}) as client:
            for path in ("/health/live", "/health/ready", "/health", "/metrics"):
                assert [await status_of(client, path) for _ in range(3)] == [200] * 3
                async with client.get(path) as reply:
                    assert "X-RateLimit-Limit" not in reply.headers

    async def test_who_is_not_trusted_cannot_be_somebody_else(self, start_gateway: Any, recorder: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 1}, order=recorder()) as client:
            asked = [await status_of(client, headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(3)]

        assert asked == [200, 429, 429]

    async def test_behind_a_trusted_proxy_each_client_has_a_limit_of_its_own(
        self, start_gateway: Any, recorder: Any
    ) -> None:
        settings = {"rate_limit_per_minute": 1, "trusted_proxies": "127.0.0.0/8"}
        async with start_gateway(settings, order=recorder()) as client:
            asked = [await status_of(client, headers={"X-Forwarded-For": f"192.0.2.{n % 2}"}) for n in range(4)]

        assert asked == [200, 200, 429, 429]

    async def test_a_proxy_may_write_the_other_header(self, start_gateway: Any, recorder: Any) -> None:
        settings = {"rate_limit_per_minute": 1, "trusted_proxies": "127.0.0.0/8", "proxy_header": "forwarded"}
        async with start_gateway(settings, order=recorder()) as client:
            asked = [await status_of(client, headers={"Forwarded": f"for=192.0.2.{n % 2}"}) for n in range(4)]

        assert asked == [200, 200, 429, 429]

    @pytest.mark.parametrize(("prefix", "second"), [(64, 429), (128, 200)])
    async def test_an_ipv6_client_is_so_many_bits(
        self, start_gateway: Any, recorder: Any, prefix: int, second: int
    ) -> None:
        settings = {"rate_limit_per_minute": 1, "trusted_proxies": "127.0.0.0/8", "ipv6_prefix": prefix}
        async with start_gateway(settings, order=recorder()) as client:
            asked = [await status_of(client, headers={"X-Forwarded-For": f"2001:db8::{n}"}) for n in (1, 2)]

        assert asked == [200, second]

    async def test_a_websocket_is_limited_before_it_is_accepted(self, start_gateway: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 1}) as client:
            await status_of(client, "/api/nowhere")
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect("/ws")

        assert refused.value.status == 429

    async def test_replicas_share_their_counts(self, start_gateway: Any, recorder: Any, redis_url: str) -> None:
        shared = {"rate_limit_per_minute": 3, "rate_limit_store": "redis", "redis_url": redis_url}
        async with start_gateway(shared, order=recorder()) as one, start_gateway(shared, order=recorder()) as other:
            asked = [await status_of(client) for client in (one, other, one, other, one)]

        assert asked == [200, 200, 200, 429, 429]

    async def test_without_redis_each_replica_counts_its_share_and_the_metrics_say_so(
        self, start_gateway: Any, recorder: Any, redis_url: str, redis_server: RedisServer
    ) -> None:
        shared = {"rate_limit_per_minute": 4, "rate_limit_store": "redis", "redis_url": redis_url, "replicas": 2}
        async with start_gateway(shared, order=recorder()) as client:
            redis_server.stop(kill=True)
            asked = [await status_of(client) for _ in range(3)]
            async with client.get("/metrics") as reply:
                metrics = await reply.text()

            async with client.get("/health") as reply:
                health = await reply.json()

        assert asked == [200, 200, 429]
        assert (health["status"], health["checks"]["rate-limit"]["status"]) == ("degraded", "down")
        assert "cortex_rate_limit_outage 1.0" in metrics
        assert 'cortex_rate_limit_refusals_total{policy="default",source="outage"} 1.0' in metrics


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_limit_per_minute", -1),
        ("trusted_proxies", "10.0.0.0/99"),
        ("trusted_proxies", "everybody"),
        ("proxy_header", "x-real-ip"),
        ("ipv6_prefix", 0),
        ("replicas", 0),
        ("cache_bytes", -1),
        ("compression_threshold", -1),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(env="test", **{name: value})


def test_several_workers_cannot_count_in_memory() -> None:
    with pytest.raises(ValidationError, match="GATEWAY_RATE_LIMIT_STORE=memory counts for one process"):
        Settings(env="test", rate_limit_store="memory", server_workers=2)


def test_a_process_counts_its_share_while_redis_is_away() -> None:
    limits = wiring.caller_limits(Settings(env="test", replicas=2, server_workers=3))

    policies = [limits.anonymous, limits.failures, *limits.plans.values()]
    assert [policy and policy.share for policy in policies] == [1 / 6] * len(policies)


async def test_a_route_may_be_free(start_gateway: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [replace(r, rate=Rate.NONE) if r.path == "/api/orders/{orderId}/cancel" else r for r in routes.ROUTES]
    monkeypatch.setattr(wiring, "_TABLE", RouteTable(free))
    async with start_gateway({"rate_limit_per_minute": 1}, order=recorder()) as client:
        for _ in range(3):
            async with client.post("/api/orders/ord_1/cancel") as reply:
                assert (reply.status, reply.headers.get("RateLimit")) == (200, None)
                assert 'rate="none"' in reply.headers["Cortex-Policy"]
        statuses = [(await client.post("/api/orders")).status for _ in range(2)]

    assert statuses == [200, 429]
