"""Pages of other origins, and what developers are told of the policies: on every answer, refusals among them."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from cortex_gateway.domain.policy_header import cache_outcome, policy_of
from cortex_gateway.routes import ROUTES, Route
from cortex_gateway.settings import Settings

from .test_gateway_sockets import EchoService

APP = {"Origin": "https://app.example"}
CORS = {"cors_origins": ("https://app.example",)}
ALLOWED = "Access-Control-Allow-Origin"
JSON = [(b"content-type", b"application/json"), (b"content-length", b"2")]


class TestCors:
    async def test_a_page_may_read_what_it_is_answered(self, start_gateway: Any, recorder: Any) -> None:
        async with (
            start_gateway(CORS, order=recorder(200, b"{}", JSON)) as client,
            client.get("/api/orders", headers=APP) as reply,
        ):
            assert reply.headers[ALLOWED] == "https://app.example"
            assert "X-Request-Id" in reply.headers["Access-Control-Expose-Headers"]
            assert "Origin" in reply.headers["Vary"]

    async def test_a_page_may_read_why_it_is_refused(self, start_gateway: Any) -> None:
        settings = {**CORS, "rate_limit_per_minute": 1}
        async with start_gateway(settings) as client:
            statuses = []
            for path in ("/api/orders", "/api/nothing", "/api/orders"):
                async with client.get(path, headers=APP) as reply:
                    statuses.append(reply.status)
                    assert reply.headers[ALLOWED] == "https://app.example"
        assert statuses[1:] == [429, 429]

    async def test_preflights_are_neither_limited_nor_forwarded(self, start_gateway: Any, recorder: Any) -> None:
        order = recorder()
        headers = {**APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        async with start_gateway({**CORS, "rate_limit_per_minute": 1}, order=order) as client:
            for _ in range(3):
                async with client.options("/api/orders", headers=headers) as reply:
                    assert (reply.status, reply.headers[ALLOWED]) == (204, "https://app.example")
                    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
                    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
        assert order.requests == []

    async def test_another_page_is_granted_nothing(self, start_gateway: Any, recorder: Any) -> None:
        async with (
            start_gateway(CORS, order=recorder(200, b"{}", JSON)) as client,
            client.get("/api/orders", headers={"Origin": "https://other.example"}) as reply,
        ):
            assert (reply.status, ALLOWED in reply.headers) == (200, False)

    @pytest.mark.parametrize("path", ["/api/orders", "/api/storage/files", "/health/live", "/api"])
    async def test_who_is_no_page_is_told_that_answers_differ(
        self, start_gateway: Any, recorder: Any, path: str
    ) -> None:
        service = recorder(200, b"{}", JSON)
        async with start_gateway(CORS, order=service, storage=service) as client:
            for _ in range(2):
                async with client.get(path) as reply:
                    assert (reply.status, "Origin" in ", ".join(reply.headers.getall("Vary"))) == (200, True)

    async def test_without_the_setting_there_is_none_of_it(self, start_gateway: Any, recorder: Any) -> None:
        async with (
            start_gateway(order=recorder(200, b"{}", JSON)) as client,
            client.get("/api/orders", headers=APP) as reply,
        ):
            assert ALLOWED not in reply.headers

    @pytest.mark.parametrize(
        ("allowed", "origin", "passed"),
        [
            (("https://app.example",), "https://app.example", []),
            (("*",), "https://other.example", []),
            (("https://app.example",), "https://other.example", ["https://other.example"]),
            ((), "https://app.example", ["https://app.example"]),
        ],
    )
    async def test_a_page_that_may_ask_may_connect(
        self, start_gateway: Any, allowed: tuple[str, ...], origin: str, passed: list[str]
    ) -> None:
        """Its service has no origin to judge then; of any other page it judges itself."""
        service = EchoService()
        async with (
            start_gateway({"cors_origins": allowed}, notification=service) as client,
            client.ws_connect("/ws", headers={"Origin": origin}),
        ):
            assert [value.decode() for name, value in service.scope["headers"] if name == b"origin"] == passed

    @pytest.mark.parametrize("origins", ["https://app.example/", "app.example", "*,https://app.example"])
    def test_origins_that_are_none_do_not_start(self, origins: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_CORS_ORIGINS", origins)
        with pytest.raises(ValidationError):
            Settings(env="test")

    def test_they_are_read_by_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "https://a.example, http://localhost:5173")
        assert Settings(env="test").cors_origins == ("https://a.example", "http://localhost:5173")


def route(path: str, method: str = "GET") -> Route:
    return next(each for each in ROUTES if each.path == path and method in each.methods)


class TestPolicyHeader:
    def test_it_is_a_dictionary_of_what_decided(self) -> None:
        assert policy_of(route("/api/orders/{orderId}"), "GET", "express", "api-key", "hit", "free") == (
            b'route="/api/orders/{orderId}", lane=express, auth=api-key, scope="orders:read", rate="free", '
            b"cache=hit, upstream=order, retry=idempotent"
        )
        assert policy_of(route("/api/orders", "POST"), "POST", "asgi", "none", "none", "none").endswith(b"retry=never")

    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            (b"us; hit; ttl=2", "hit"),
            (b"us; fwd=uri-miss; fwd-status=200; stored", "uri-miss"),
            (b"other; hit, us; fwd=stale", "stale"),
            (b"other; hit", "none"),
            (None, "none"),
        ],
    )
    def test_it_knows_what_the_cache_did(self, said: bytes | None, outcome: str) -> None:
        assert cache_outcome(said, b"us") == outcome

    async def test_answers_tell_it(self, start_gateway: Any, recorder: Any, lane: str) -> None:
        service = recorder(200, b"{}", JSON)
        async with start_gateway(order=service, storage=service) as client:
            told = []
            for path in ("/api/orders/ord_1", "/api/orders/ord_1", "/api/storage/files"):
                async with client.get(path) as reply:
                    told.append(reply.headers["Cortex-Policy"])
        assert [re.search(r"cache=([a-z-]+)", each)[1] for each in told] == ["uri-miss", "hit", "none"]  # type: ignore[index]
        assert [re.search(r"lane=([a-z]+)", each)[1] for each in told[1:]] == [lane, lane]  # type: ignore[index]
        assert all("auth=anonymous" in each and 'rate="none"' in each for each in told), "no limit is set here"

    async def test_a_refusal_tells_it(self, start_gateway: Any) -> None:
        async with start_gateway() as client, client.get("/api/storage/files") as reply:
            assert (reply.status, "upstream=storage" in reply.headers["Cortex-Policy"]) == (503, True)

    async def test_it_can_be_left_out(self, start_gateway: Any, recorder: Any) -> None:
        async with (
            start_gateway({"policy_header": False}, order=recorder(200, b"{}", JSON)) as client,
            client.get("/api/orders") as reply,
        ):
            assert "Cortex-Policy" not in reply.headers

    def test_production_does_not_tell(self) -> None:
        settings = Settings.model_construct(env="production", policy_header=None)
        assert (settings.shows_policy, Settings(env="test").shows_policy) == (False, True)
