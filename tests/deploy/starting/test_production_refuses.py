"""Production starts on its own secrets alone: each of development's is refused, by every service that is told it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import cortex_analytics.settings
import cortex_compute.settings
import cortex_gateway.settings
import cortex_notification.settings
import cortex_order.settings
import cortex_storage.settings
from cortex_core.chassis import Config
from cortex_core.chassis.explaining import explain
from cortex_core.security.development import Wanted, ensure
from cortex_core.testing import Issuer

SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
SETTINGS: dict[str, type[Config]] = {
    "gateway": cortex_gateway.settings.Settings,
    "order": cortex_order.settings.Settings,
    "notification": cortex_notification.settings.Settings,
    "analytics": cortex_analytics.settings.Settings,
    "storage": cortex_storage.settings.Settings,
    "compute": cortex_compute.settings.Settings,
}
each = pytest.mark.parametrize("service", SERVICES)
DATABASES = ("order", "analytics", "storage")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("development") / "secrets"
    ensure(folder, Wanted(static_token=True, redis="redis:6379", postgres="postgres:5432", databases=DATABASES))
    return folder


def in_production(service: str, issuer: Issuer) -> dict[str, str]:
    """What a service has to be told, with secrets of production's own."""
    told = {
        "CORTEX_ENV": "production",
        "CORTEX_REDIS_URL": "redis://:own@redis:6379/0",
        "CORTEX_KEY_PEPPER": "0123456789abcdef" * 4,
        **issuer.environment(gateway=service == "gateway"),
    }
    match service:
        case "gateway":
            told |= {f"GATEWAY_{name.upper()}_URL": f"http://{name}" for name in SERVICES[1:]}
        case "order":
            told["ORDER_PAYMENT_URL"] = "https://payments.example"
        case "storage":
            told["STORAGE_BLOCKS_DIR"] = "/var/lib/cortex/blocks"
    if service in DATABASES:
        told[f"{service.upper()}_DATABASE_URL"] = f"postgresql+asyncpg://{service}:own@postgres/{service}"
    return told


def made_for_development(service: str, secrets: Path) -> dict[str, str]:
    """By their variables, those that the service could be told."""
    found = {
        "CORTEX_REDIS_URL_FILE": str(secrets / "redis-url"),
        "CORTEX_KEY_PEPPER_FILE": str(secrets / "pepper"),
        "CORTEX_JWKS": str(secrets / "tokens.jwks.json"),
        "CORTEX_INTERNAL_KEYS": str(secrets / "internal.jwks.json"),
    }
    if service == "gateway":
        found["CORTEX_INTERNAL_SIGNING_KEY"] = str(secrets / "internal.jwk")
        found["GATEWAY_STATIC_TOKENS"] = str(secrets / "static-tokens.json")
    if service in DATABASES:
        found[f"{service.upper()}_DATABASE_URL_FILE"] = str(secrets / f"{service}-database-url")
    return found


def start(service: str, told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Config:
    with monkeypatch.context() as environment:
        for name in (*in_production_names(), *told):
            environment.delenv(name, raising=False)
        for name, value in told.items():
            environment.setenv(name, value)
        return SETTINGS[service]()


def in_production_names() -> set[str]:
    return {settings.variable(name) for settings in SETTINGS.values() for name in settings.model_fields}


def refusal(service: str, told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(ValidationError) as caught:
        start(service, told, monkeypatch)
    [line] = explain(caught.value, SETTINGS[service])
    return line


@each
def test_it_starts_on_its_own_secrets(service: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start(service, in_production(service, issuer), monkeypatch).env == "production"


@each
def test_each_secret_that_was_made_for_development_is_refused_by_name(
    service: str, secrets: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = in_production(service, issuer)
    for variable, place in made_for_development(service, secrets).items():
        told = {**own, variable: place}
        told.pop(variable.removesuffix("_FILE")) if variable.endswith("_FILE") else None

        line = refusal(service, told, monkeypatch)

        assert variable.removesuffix("_FILE") in line
        assert "development" in line or "developer" in line
        value = Path(place).read_text().strip()
        assert value not in line


@each
def test_all_of_them_together_are_right_in_development(
    service: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"CORTEX_ENV": "development", **made_for_development(service, secrets)}

    assert start(service, told, monkeypatch).env == "development"


@each
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CORTEX_ANONYMOUS": "true"}, "CORTEX_ANONYMOUS cannot be on in production"),
        ({"CORTEX_JWKS": "http://issuer/keys"}, "CORTEX_JWKS must be a file or https://"),
        ({"CORTEX_TOKEN_ISSUER": "cortex-development"}, "production needs its own value for CORTEX_TOKEN_ISSUER"),
        ({"CORTEX_REDIS_URL": "redis://127.0.0.1:6379/0"}, "production needs its own value for CORTEX_REDIS_URL"),
    ],
)
def test_what_only_suits_a_developers_machine_is_refused(
    service: str, changes: dict[str, Any], words: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert words in refusal(service, {**in_production(service, issuer), **changes}, monkeypatch)
