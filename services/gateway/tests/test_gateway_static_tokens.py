"""GATEWAY_STATIC_TOKENS: read at the start, held against the other settings, and a way to know who asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cortex_core.chassis.explaining import explain
from cortex_core.testing import Issuer
from cortex_gateway.settings import Settings

TOKEN = "st_" + "canary" * 6


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CORTEX_JWKS", "CORTEX_KEY_PEPPER", "GATEWAY_STATIC_TOKENS"):
        monkeypatch.delenv(name, raising=False)


def in_production(file: Path, issuer: Issuer, **changes: Any) -> Settings:
    return Settings(
        **{
            "env": "production",
            "redis_url": "redis://cache:6379/0",
            **{
                f"{name}_url": f"http://{name}" for name in ("order", "notification", "analytics", "storage", "compute")
            },
            "internal_signing_key": issuer.internal_signing_key,
            "static_tokens": file,
            **changes,
        }
    )


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "tokens.json"
    file.write_text(json.dumps([{"token": TOKEN, "sub": "helm", "roles": ["operator"], **changes}]))
    return file


def refusal(file: Path, issuer: Issuer, **changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        in_production(file, issuer, **changes)
    assert "canary" not in str(caught.value)
    [line] = explain(caught.value, Settings)
    return line


def test_they_are_a_way_to_know_who_asks(tmp_path: Path, issuer: Issuer) -> None:
    tokens = in_production(written(tmp_path), issuer).known_tokens()

    assert tokens is not None
    assert [each.subject for each in tokens.principals] == ["helm"]


def test_a_token_in_a_file_of_its_own_is_looked_for_beside_the_list(tmp_path: Path, issuer: Issuer) -> None:
    (tmp_path / "token").write_text(TOKEN)
    file = tmp_path / "tokens.json"
    file.write_text('[{"tokenFile": "token", "sub": "helm", "roles": ["operator"]}]')

    tokens = in_production(file, issuer).known_tokens()

    assert tokens is not None
    assert [each.subject for each in tokens.principals] == ["helm"]


def test_without_them_or_any_other_way_production_names_them(tmp_path: Path, issuer: Issuer) -> None:
    assert "set one of CORTEX_JWKS, CORTEX_KEY_PEPPER, GATEWAY_STATIC_TOKENS" in refusal(
        Path(), issuer, static_tokens=""
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path, issuer: Issuer) -> None:
    file = tmp_path / "none.json"

    assert refusal(file, issuer) == f"GATEWAY_STATIC_TOKENS: {file} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"token": "st_dev" + "canary" * 6}, "cannot be used: token 1: it was made for development"),
        ({"scopes": ["orders:raed"]}, "cannot be used: token 1: 'orders:raed' is none of the scopes"),
        ({"tenant": "acme"}, "token 1: its tenant is not one of CORTEX_TENANTS"),
        ({"plan": "gold"}, "token 1: its plan is not one of GATEWAY_PLANS"),
    ],
)
def test_what_cannot_be_right_stops_the_start(changes: Any, why: str, tmp_path: Path, issuer: Issuer) -> None:
    line = refusal(written(tmp_path, **changes), issuer)

    assert line.startswith("GATEWAY_STATIC_TOKENS: ")
    assert why in line


def test_services_must_be_able_to_know_them_by_the_gateways_word(tmp_path: Path, issuer: Issuer) -> None:
    assert "needs CORTEX_INTERNAL_SIGNING_KEY" in refusal(written(tmp_path), issuer, internal_signing_key=None)


def test_one_made_for_development_is_good_there(tmp_path: Path, issuer: Issuer) -> None:
    file = written(tmp_path, token="st_dev" + "a" * 40)

    assert in_production(file, issuer, env="development").known_tokens() is not None


def test_keys_that_do_not_belong_together_are_refused(tmp_path: Path, issuer: Issuer) -> None:
    """Every service that was given them would refuse whatever the gateway says."""
    (tmp_path / "another").mkdir()
    another = Issuer(tmp_path / "another")
    strange = tmp_path / "strange.json"
    strange.write_text(json.dumps({"keys": [{**another.gateway_key.public, "kid": "strange"}]}))

    words = refusal(written(tmp_path), issuer, internal_keys=strange)

    assert words == "CORTEX_INTERNAL_KEYS must hold the public half of CORTEX_INTERNAL_SIGNING_KEY"
    in_production(written(tmp_path), issuer, internal_keys=issuer.internal_keys)
