"""Keys of the hub on this machine: made once, told to whom they concern, and what is signed with them."""

import asyncio
import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cortex_cli.development_keys import AUDIENCE, ISSUER, DevelopmentKeys
from cortex_cli.durations import seconds
from cortex_cli.keys.client import KeysOf
from cortex_cli.refusal import Refusal
from cortex_cli.tokens import Wanted, sign_token
from cortex_core.kernel.clock import SystemClock
from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys import Peppers
from cortex_core.security.claims import principal_of
from cortex_core.security.jwks import FixedKeys, UnusableKeySet, parse_key_set, parse_signing_key
from cortex_core.security.jwt import JwtReader

if TYPE_CHECKING:
    from cli.tests.conftest import Hub

VARIABLES = {
    "CORTEX_JWKS",
    "CORTEX_TOKEN_ISSUER",
    "CORTEX_TOKEN_AUDIENCE",
    "CORTEX_INTERNAL_KEYS",
    "CORTEX_INTERNAL_SIGNING_KEY",
    "CORTEX_KEY_PEPPER",
}


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DevelopmentKeys:
    for name in (*VARIABLES, "CORTEX_ENV"):
        monkeypatch.delenv(name, raising=False)
    made = DevelopmentKeys.of(tmp_path)
    made.ensure()
    return made


async def read(keys: DevelopmentKeys, token: str) -> Principal:
    """As the hub does."""
    public, _ = parse_key_set((keys.folder / "tokens.jwks.json").read_bytes(), development=True)
    reader = JwtReader(FixedKeys(public), issuer=ISSUER, audience=AUDIENCE, clock=SystemClock(), principal=principal_of)
    return await reader.read(token.encode())


class TestMaking:
    def test_secrets_are_the_owners_alone(self, keys: DevelopmentKeys) -> None:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.folder.iterdir()}

        assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
        assert modes == dict.fromkeys(
            ["tokens.jwk", "tokens.jwks.json", "internal.jwk", "internal.jwks.json", "pepper"], 0o600
        )

    def test_once_made_they_stay(self, keys: DevelopmentKeys) -> None:
        before = {path.name: path.read_bytes() for path in keys.folder.iterdir()}

        keys.ensure()

        assert {path.name: path.read_bytes() for path in keys.folder.iterdir()} == before

    def test_services_can_use_them_and_production_refuses_them(self, keys: DevelopmentKeys) -> None:
        told = keys.environment(gateway=True)

        assert told.keys() == VARIABLES
        Peppers.of(told["CORTEX_KEY_PEPPER"])
        for name in ("CORTEX_JWKS", "CORTEX_INTERNAL_KEYS"):
            public = Path(told[name]).read_bytes()
            assert len(parse_key_set(public, development=True)[0]) == 1
            assert '"d"' not in public.decode()
            with pytest.raises(UnusableKeySet):
                parse_key_set(public)
        signing = Path(told["CORTEX_INTERNAL_SIGNING_KEY"]).read_bytes()
        assert parse_signing_key(signing, development=True).kid.startswith("dev-")
        with pytest.raises(UnusableKeySet):
            parse_signing_key(signing)

    def test_what_signs_goes_to_the_gateway_alone(self, keys: DevelopmentKeys) -> None:
        assert keys.environment(gateway=False).keys() == VARIABLES - {"CORTEX_INTERNAL_SIGNING_KEY"}

    @pytest.mark.parametrize(
        ("set_by_the_person", "left"),
        [
            ("CORTEX_JWKS", {"CORTEX_INTERNAL_KEYS", "CORTEX_INTERNAL_SIGNING_KEY", "CORTEX_KEY_PEPPER"}),
            ("CORTEX_INTERNAL_KEYS", VARIABLES - {"CORTEX_INTERNAL_KEYS", "CORTEX_INTERNAL_SIGNING_KEY"}),
            ("CORTEX_KEY_PEPPER", VARIABLES - {"CORTEX_KEY_PEPPER"}),
        ],
    )
    def test_what_belongs_to_what_the_person_has_set_is_theirs(
        self, keys: DevelopmentKeys, set_by_the_person: str, left: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(set_by_the_person, "theirs")

        assert keys.environment(gateway=True).keys() == left

    def test_an_interruption_leaves_nothing_half_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = DevelopmentKeys.of(tmp_path)
        calls: list[int] = []

        def crash(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            keys.ensure()
        assert not keys.folder.exists()
        monkeypatch.undo()

        keys.ensure()

        keys.check()
        assert not keys.folder.with_name("keys.new").exists()

    @pytest.mark.parametrize("name", ["tokens.jwk", "internal.jwks.json", "pepper"])
    def test_one_that_is_missing_is_named(self, keys: DevelopmentKeys, name: str) -> None:
        (keys.folder / name).unlink()

        with pytest.raises(Refusal, match=name):
            keys.ensure()

    @pytest.mark.parametrize("name", ["tokens.jwk", "internal.jwk", "pepper"])
    def test_one_that_others_can_read_is_refused(self, keys: DevelopmentKeys, name: str) -> None:
        (keys.folder / name).chmod(0o644)

        with pytest.raises(Refusal, match="chmod 600"):
            keys.ensure()


class TestTokens:
    async def test_the_hub_reads_what_was_wanted(self, keys: DevelopmentKeys) -> None:
        wanted = Wanted("ann", ["orders:read", "files:read"], ["viewer"], "acme", "pro", 60)

        who = await read(keys, sign_token(keys.folder.parent, wanted))

        assert (who.subject, who.tenant, who.roles, who.plan, who.method) == (
            "ann",
            "acme",
            {"viewer"},
            "pro",
            "jwt",
        )
        assert {"orders:read", "files:read"} <= who.scopes
        assert "orders:write" not in who.scopes

    def test_its_type_and_life_are_an_issuers(self, keys: DevelopmentKeys) -> None:
        token = sign_token(keys.folder.parent, Wanted("ann", life=90))

        header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in token.split(".")[:2])
        assert (header["typ"], header["alg"], header["kid"][:4]) == ("at+jwt", "ES256", "dev-")
        assert claims["exp"] - claims["iat"] == 90
        assert {"jti", "client_id"} <= claims.keys()

    @pytest.mark.parametrize(
        ("wanted", "named"),
        [
            (Wanted("ann", ["orders:burn"]), "orders:burn"),
            (Wanted("ann", roles=["god"]), "god"),
            (Wanted("ann", tenant="A B"), "tenant"),
            (Wanted(""), "sub"),
            (Wanted("ann", life=0), "--ttl"),
            (Wanted("ann", life=86_401), "--ttl"),
        ],
    )
    def test_what_the_hub_would_not_take_is_not_signed(self, keys: DevelopmentKeys, wanted: Wanted, named: str) -> None:
        with pytest.raises(Refusal, match=named):
            sign_token(keys.folder.parent, wanted)

    def test_not_for_production(self, keys: DevelopmentKeys, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CORTEX_ENV", "production")

        with pytest.raises(Refusal, match="its own issuer"):
            sign_token(keys.folder.parent, Wanted("ann"))

    def test_a_damaged_key_is_no_traceback(self, keys: DevelopmentKeys) -> None:
        for text in ("", "[]", '{"kty":"EC"}'):
            (keys.folder / "tokens.jwk").write_text(text)
            with pytest.raises(Refusal, match="key"):
                sign_token(keys.folder.parent, Wanted("ann"))


class TestCommands:
    def test_up_makes_keys_and_tells_services_of_them_and_nobody_else(self, hub: "Hub") -> None:
        hub.up_and_ready(CORTEX_TOKEN="canary-of-a-person")

        gateway, order, payments = (_environment(hub, name) for name in ("gateway", "order", "bank"))

        assert gateway.keys() >= VARIABLES
        assert VARIABLES - order.keys() == {"CORTEX_INTERNAL_SIGNING_KEY"}
        assert not VARIABLES & payments.keys()
        assert order["CORTEX_KEY_PEPPER"] == (hub.state / "keys/pepper").read_text().strip()
        assert "canary-of-a-person" not in {*gateway.values(), *payments.values()}

    def test_the_token_is_all_that_is_printed(self, hub: "Hub") -> None:
        before = hub.cortex("token", "--sub", "ann")
        hub.up_and_ready()

        result = hub.cortex("token", "--sub", "ann", "-s", "orders:read,files:read", "--role", "viewer", "--ttl", "5m")

        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.count(".") == 2
        assert len(result.stdout.splitlines()) == 1
        assert (before.returncode, before.stdout) == (1, "")
        assert before.stderr.startswith("cortex: no development key in ")
        assert len(before.stderr.splitlines()) == 1

    def test_reset_takes_the_keys_with_it(self, hub: "Hub") -> None:
        hub.up_and_ready()
        hub.cortex("down")

        assert hub.cortex("reset", "--yes").returncode == 0

        assert not hub.state.exists()

    def test_a_hub_elsewhere_is_not_asked_with_the_key_of_this_one(self, hub: "Hub") -> None:
        hub.up_and_ready()

        result = hub.cortex("keys", "list", "--url", "http://127.0.0.1:9")

        assert result.returncode == 1
        assert "set CORTEX_TOKEN" in result.stderr


class TestAsking:
    @pytest.fixture
    async def gateway(self) -> AsyncIterator[TestServer]:
        async def answer(request: web.Request) -> web.Response:
            kind = request.path.rpartition("/")[2]
            if kind == "problem":
                return web.json_response({"detail": "you may not", "code": "auth.insufficient-scope"}, status=403)
            if kind == "page":
                return web.Response(status=502, text="<html>")
            return web.json_response({"asked": request.headers["Authorization"]})

        app = web.Application()
        app.router.add_delete("/api/keys/{id}", answer)
        async with TestServer(app) as server:
            yield server

    async def test_what_is_refused_is_one_line(self, gateway: TestServer) -> None:
        keys = KeysOf(str(gateway.make_url("")).rstrip("/"), "canary")

        assert await asyncio.to_thread(keys.revoke, "key") == {"asked": "Bearer canary"}
        with pytest.raises(Refusal, match=r"you may not \(auth\.insufficient-scope\)"):
            await asyncio.to_thread(keys.revoke, "problem")
        with pytest.raises(Refusal, match="no answer that can be understood"):
            await asyncio.to_thread(keys.revoke, "page")
        assert "canary" not in repr(keys)

    @pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
    def test_what_is_no_url_is_said(self, url: str) -> None:
        with pytest.raises(Refusal, match="--url"):
            KeysOf(url, "t").page(None)


@pytest.mark.parametrize(
    ("text", "length"), [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000), ("0", 0)]
)
def test_lengths_of_time(text: str, length: int) -> None:
    assert seconds(text, "--ttl") == length


@pytest.mark.parametrize("text", ["", "h", "1w", "-1", "1.5h", "1 h", "1e3", "9999999999"])
def test_what_is_no_length_of_time_names_its_option(text: str) -> None:
    with pytest.raises(Refusal, match="--ttl"):
        seconds(text, "--ttl")


def _environment(hub: "Hub", name: str) -> dict[str, Any]:
    members = {member["name"]: member["url"] for member in hub.record()["members"]}
    port = int(members[name].rpartition(":")[2])
    told: dict[str, Any] = hub.get(port - hub.port_base, "/env")
    return told
