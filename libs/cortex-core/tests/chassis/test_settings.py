"""Settings: typed, named, and strict in production."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from cortex_core.chassis import Config, development, service_config
from cortex_core.chassis.settings import explain


class TeaSettings(Config):
    model_config = service_config("TEA_")

    service: ClassVar[str] = "tea"
    port: int = 3999
    kettle_url: str = development("http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CORTEX_ENV", "CORTEX_REDIS_URL", "TEA_KETTLE_URL", "TEA_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_unset_means_production_and_each_development_value_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        TeaSettings()

    lines = explain(caught.value, TeaSettings)
    assert len(lines) == 1
    assert "CORTEX_REDIS_URL, TEA_KETTLE_URL" in lines[0]


def test_development_values_are_fine_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")

    assert TeaSettings().kettle_url == "http://127.0.0.1:1"


def test_production_starts_on_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_REDIS_URL", "redis://cache:6379/0")
    monkeypatch.setenv("TEA_KETTLE_URL", "https://kettle")
    monkeypatch.setenv("CORTEX_KEY_PEPPER", "0123456789abcdef0123456789abcdef")

    assert TeaSettings().env == "production"


def test_a_wrong_value_is_named_by_its_variable_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv("TEA_PORT", "hunter2")

    with pytest.raises(ValidationError) as caught:
        TeaSettings()

    lines = explain(caught.value, TeaSettings)
    assert lines[0].startswith("TEA_PORT: ")
    assert "hunter2" not in lines[0]


def test_the_redis_password_is_not_printed() -> None:
    assert "hunter2" not in repr(TeaSettings(env="test", redis_url="redis://:hunter2@cache:6379/0"))


@pytest.mark.parametrize("url", ["localhost", "http://cache:6379", "redis://", "hunter2"])
def test_a_redis_url_that_is_none_is_refused_and_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv("CORTEX_REDIS_URL", url)

    with pytest.raises(ValidationError) as caught:
        TeaSettings()

    [line] = explain(caught.value, TeaSettings)
    assert line.startswith("CORTEX_REDIS_URL: a Redis URL is")
    assert "hunter2" not in line


def test_tenants_are_listed_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv("CORTEX_TENANTS", "public, acme")

    assert TeaSettings().tenants == {"public", "acme"}


@pytest.mark.parametrize("tenants", ["", "acme,", "Acme", "a:b", "x" * 64])
def test_what_cannot_be_a_part_of_a_key_is_no_tenant(tenants: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv("CORTEX_TENANTS", tenants)

    with pytest.raises(ValidationError) as caught:
        TeaSettings()

    assert explain(caught.value, TeaSettings)[0].startswith("CORTEX_TENANTS: ")
