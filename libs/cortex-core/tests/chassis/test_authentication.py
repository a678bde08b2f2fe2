"""Authentication under FastAPI: what production refuses, where keys come from, what a route says of its scope."""

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi import APIRouter
from pydantic import ValidationError

from cortex_core.chassis import Config, ProtectedRoute, create_app, make_internal_tokens, requires, service_config
from cortex_core.chassis.authentication import fetching, make_authenticator
from cortex_core.chassis.telemetry import RequestTelemetry
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import Principal, current, use_context
from cortex_core.kernel.clock import SystemClock
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_core.observability.exporters import InMemoryExporter
from cortex_core.security import AuthenticationUnavailable, InvalidCredential
from cortex_core.testing import Issuer, free_port, serving


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"


class EdgeSettings(Settings):
    at_the_edge: ClassVar[bool] = True


PRODUCTION: dict[str, Any] = {"env": "production", "redis_url": "redis://cache:6379/0"}
PEPPER = {"key_pepper": "0123456789abcdef0123456789abcdef"}


def complaint(kind: type[Config] = Settings, **settings: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        kind(**settings)
    return str(refused.value)


class TestProduction:
    def test_refuses_to_serve_nobody_in_particular(self) -> None:
        assert "CORTEX_ANONYMOUS" in complaint(**PRODUCTION, **PEPPER, anonymous=True)
        assert not Settings(**PRODUCTION, **PEPPER).serves_anonymous

    def test_refuses_to_start_with_no_way_to_know_anybody(self, issuer: Issuer) -> None:
        inside = {"internal_keys": issuer.internal_keys}

        assert "CORTEX_JWKS, CORTEX_KEY_PEPPER, CORTEX_INTERNAL_KEYS" in complaint(**PRODUCTION)
        assert Settings(**PRODUCTION, **inside).internal_keys is not None
        assert "CORTEX_JWKS, CORTEX_KEY_PEPPER" in complaint(EdgeSettings, **PRODUCTION, **inside)
        assert EdgeSettings(**PRODUCTION, **PEPPER).key_pepper is not None

    def test_refuses_a_developer_s_keys_and_issuer(self, issuer: Issuer, tmp_path: Path) -> None:
        developers = tmp_path / "dev.json"
        developers.write_text(json.dumps({"keys": [{**issuer.key.public, "kid": "dev-1"}]}))
        own = {"token_issuer": "https://issuer.test"}

        assert "developer" in complaint(**PRODUCTION, **own, jwks=str(developers))
        assert "developer" in complaint(**PRODUCTION, **PEPPER, internal_keys=developers)
        assert "CORTEX_TOKEN_ISSUER" in complaint(**PRODUCTION, jwks=str(issuer.jwks))
        assert Settings(**PRODUCTION, **own, jwks=str(issuer.jwks)).jwks is not None

    def test_refuses_a_pepper_made_for_a_developer_s_machine_first_or_second(self) -> None:
        mine, theirs = "dev-" + "0" * 64, "1" * 64

        for pepper in (mine, f"{theirs},{mine}", f"{theirs}, {mine}"):
            assert "CORTEX_KEY_PEPPER" in complaint(**PRODUCTION, key_pepper=pepper)
        assert Settings(env="development", key_pepper=mine).key_pepper is not None

    def test_what_a_compose_file_passes_on_empty_is_unset(self) -> None:
        for name in ("jwks", "internal_keys", "internal_signing_key", "key_pepper"):
            assert getattr(Settings(env="test", **{name: ""}), name) is None
        assert Settings(**PRODUCTION, **PEPPER, jwks="").jwks is None

    def test_refuses_keys_that_anybody_between_could_change(self) -> None:
        own = {"token_issuer": "https://issuer.test"}

        for place in ("http://issuer.test/jwks.json", "HTTP://issuer.test/jwks.json"):
            assert "https" in complaint(**PRODUCTION, **own, jwks=place)
        assert Settings(**PRODUCTION, **own, jwks="https://issuer.test/jwks.json").jwks is not None


class TestDevelopment:
    def test_serves_nobody_in_particular_unless_told(self) -> None:
        assert Settings(env="development").serves_anonymous
        assert not Settings(env="development", anonymous=False).serves_anonymous

    @pytest.mark.parametrize("name", ["jwks", "internal_keys", "internal_signing_key"])
    def test_names_a_file_that_cannot_be_read_or_used_and_shows_nothing_of_it(self, tmp_path: Path, name: str) -> None:
        file = tmp_path / "key.json"
        assert f"CORTEX_{name.upper()}: {file} cannot be read" in complaint(env="test", **{name: str(file)})

        file.write_text('{"kty":"oct","kid":"1","k":"canary"}')
        said = complaint(env="test", **{name: str(file)})
        assert f"CORTEX_{name.upper()}: {file} cannot be used" in said
        assert "canary" not in said

    def test_a_pepper_is_long_and_never_shown(self) -> None:
        assert "canary" not in complaint(env="test", key_pepper="canary")
        assert "canary" not in repr(Settings(env="test", key_pepper="canary-of-thirty-two-characters-or-more"))


def test_a_service_without_keys_signs_nothing(issuer: Issuer) -> None:
    clock = SystemClock()

    assert make_internal_tokens(Settings(env="test"), clock) is None
    assert make_internal_tokens(Settings(env="test", internal_signing_key=issuer.internal_signing_key), clock)


def test_a_scope_that_there_is_not_fails_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="orders:raed"):
        requires("orders:raed")


class Keys:
    """An issuer's address: gives what it is told to."""

    def __init__(self, body: bytes, status: int = 200, location: bytes = b"") -> None:
        self.body, self.status, self.location, self.asked = body, status, location, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.asked += 1
        moved = bool(self.location) and scope["path"].encode() != self.location
        headers = [(b"location", self.location)] if moved else []
        status = self.status if moved or not self.location else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class TestKeysFromAnAddress:
    async def test_are_fetched_and_read_with(self, issuer: Issuer) -> None:
        keys = Keys(issuer.jwks.read_bytes())
        async with serving(keys) as client:
            told = {**issuer.settings(), "jwks": str(client._base_url / "jwks.json")}
            authenticator = _authenticator(Settings(env="test", **told))
            headers = [(b"authorization", f"Bearer {issuer.token()}".encode())]

            assert (await authenticator.authenticate(headers)).subject == "kim"
            await authenticator.aclose()
        assert keys.asked == 1

    @pytest.mark.parametrize(
        "keys",
        [
            Keys(b"{}", 404),
            Keys(b"{}", 302, b"/elsewhere"),
            Keys(b" " * (300 << 10)),
        ],
        ids=["not found", "elsewhere", "too many"],
    )
    async def test_are_an_outage_where_the_issuer_has_none(self, issuer: Issuer, keys: Keys) -> None:
        async with serving(keys) as client:
            with pytest.raises(OSError, match="issuer"):
                await fetching(str(client._base_url / "jwks.json"))()

            told = {**issuer.settings(), "jwks": str(client._base_url / "jwks.json")}
            authenticator = _authenticator(Settings(env="test", **told))
            with pytest.raises(AuthenticationUnavailable):
                await authenticator.authenticate([(b"authorization", f"Bearer {issuer.token()}".encode())])

    async def test_are_an_outage_where_nobody_answers(self, nowhere: str) -> None:
        with pytest.raises(OSError, match="ClientConnectorError"):
            await fetching(nowhere)()


@pytest.fixture
def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}/jwks.json"


def _authenticator(settings: Config) -> Any:
    return make_authenticator(settings, SystemClock(), MetricsCollector(), Logger.get("test"))


async def test_a_credential_that_nothing_here_can_check_is_refused(issuer: Issuer) -> None:
    authenticator = _authenticator(Settings(env="test"))
    for headers in (
        [(b"authorization", f"Bearer {issuer.token()}".encode())],
        [(b"x-api-key", b"ck_1")],
        [(b"x-cortex-principal", b"a.b.c")],
    ):
        with pytest.raises(InvalidCredential) as refused:
            await authenticator.authenticate(headers)
        assert refused.value.reason == "unsupported"


class TestARoute:
    @staticmethod
    def _app(**settings: Any) -> Any:
        router = APIRouter(route_class=ProtectedRoute)

        @router.get("/tea", dependencies=[requires("orders:read")], responses={403: {"description": "`tea.cold`"}})
        async def tea() -> str:
            return current().principal.subject if current().principal is not None else "?"

        @router.get("/water")
        async def water() -> str:
            return "water"

        async def running(_: Any) -> Any:
            yield None

        return create_app(
            Settings(env="test", **settings),
            running=asynccontextmanager(running),
            routers=[router],
            bus=MemoryEventBus(),
        )

    def test_says_in_the_document_what_it_asks_for(self) -> None:
        document = self._app().openapi()

        tea, water = (document["paths"][path]["get"] for path in ("/tea", "/water"))
        assert tea["security"] == [{"bearer": ["orders:read"]}, {"apiKey": ["orders:read"]}]
        assert set(tea["responses"]) == {"200", "400", "401", "403", "500", "503"}
        assert tea["responses"]["403"]["description"] == "`tea.cold`, `auth.insufficient-scope`"
        assert "security" not in water
        assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}

    async def test_answers_as_it_says(self, issuer: Issuer) -> None:
        async with serving(self._app(**issuer.settings())) as client:
            answers = []
            for path, headers in (
                ("/water", {"Authorization": "Bearer x"}),
                ("/tea", {}),
                ("/tea", issuer.headers(scope="orders:read")),
                ("/tea", issuer.headers(scope="orders:write")),
                ("/tea", {"Authorization": "Bearer x"}),
            ):
                async with client.get(path, headers=headers) as reply:
                    body = await reply.json()
                    answers.append((reply.status, body.get("code") if isinstance(body, dict) else body))

        assert answers == [
            (200, "water"),
            (401, "auth.required"),
            (200, "kim"),
            (403, "auth.insufficient-scope"),
            (401, "auth.invalid-credential"),
        ]


async def test_a_span_names_who_asks_and_not_his_address() -> None:
    exporter = InMemoryExporter()
    tracer = Tracer("tea", exporter=exporter)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        pass

    kim = Principal("kim", method="jwt", email="canary@x.test")
    for principal in (kim, Principal("anonymous")):
        with use_context(principal=principal):
            await RequestTelemetry(app, tracer, lambda _: None)(
                {"type": "http", "method": "GET", "path": "/"}, None, send
            )  # type: ignore[arg-type]
    await tracer.aclose()

    named, nobody = ({**span.attributes} for span in exporter.spans)
    assert named["cortex.principal"] == "kim"
    assert "canary" not in str(named)
    assert "cortex.principal" not in nobody
