"""Settings: typed, named, and strict in production."""

from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from cortex_core.chassis import Config, development, service_config
from cortex_core.chassis.explaining import explain, with_its_variable
from cortex_core.chassis.urls import place_in
from cortex_core.eventsourcing import EventStoreUnavailable


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


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6379/0",
        "rediss://:p%40ss@cache?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required",
        "unix:///r.sock?db=1",
    ],
)
def test_a_redis_url_may_say_where_the_server_is(url: str) -> None:
    assert TeaSettings(env="test", redis_url=url).redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://cache?decode_responses=true", "the option decode_responses cannot stand in a Redis URL"),
        ("redis://cache?ssl_ca_certs=x&protocol=3", "the option protocol cannot stand"),
        ("redis://cache?password=hunter2", "the option password cannot stand"),
        ("redis://cache?hunter2%20%20=1", "an option cannot stand"),
        ("redis://:hunter2/x@cache:6379/0", "percent-encoded"),
        ("redis://:hunter2@[cache:6379/0", "percent-encoded"),
    ],
)
def test_what_would_change_what_is_read_from_redis_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TeaSettings(env="test", redis_url=url)

    [line] = explain(caught.value, TeaSettings)
    assert line.startswith("CORTEX_REDIS_URL: ")
    assert why in line
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["otel-collector:4318", "grpc://otel-collector:4317", "http://"])
def test_where_traces_go_is_an_address(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", value)

    with pytest.raises(ValidationError) as caught:
        TeaSettings(env="test")

    assert explain(caught.value, TeaSettings) == [
        "OTEL_EXPORTER_OTLP_ENDPOINT: must be an address: http://… or https://…"
    ]


def test_no_address_is_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", " ")

    assert TeaSettings(env="test").otlp_endpoint is None


@pytest.mark.parametrize("variable", ["CORTEX_REDIS_URL", "TEA_KETTLE_URL"])
def test_production_refuses_a_password_made_for_development(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"CORTEX_REDIS_URL": "redis://:own@cache", "TEA_KETTLE_URL": "postgresql+asyncpg://tea:own@db/tea"}
    monkeypatch.setenv("CORTEX_KEY_PEPPER", "0123456789abcdef0123456789abcdef")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    TeaSettings()
    monkeypatch.setenv(variable, values[variable].replace("own", "dev%2Dhunter2"))

    with pytest.raises(ValidationError) as caught:
        TeaSettings()

    [line] = explain(caught.value, TeaSettings)
    assert line == f"production needs its own {variable}: its password was made for development"
    monkeypatch.setenv("CORTEX_ENV", "development")
    TeaSettings()


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


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("TEA_PORT", "abc", "TEA_PORT: must be a valid integer"),
        ("TEA_PORT", "70000", "TEA_PORT: must be less than or equal to 65535"),
        ("CORTEX_ENV", "prod", "CORTEX_ENV: must be 'development', 'test' or 'production'"),
        ("TEA_PAGE_URL", "javascript:alert(1)", "TEA_PAGE_URL: must be an address: http://… or https://…"),
    ],
)
def test_a_mistake_is_told_in_words_of_whoever_sets_it(
    variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tea(TeaSettings):
        port: int = Field(default=3999, le=65535)
        page_url: str | None = Field(default=None, pattern=r"^https?://\S+$")

    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv(variable, value)

    with pytest.raises(ValidationError) as caught:
        Tea()

    assert explain(caught.value, Tea) == [line]


def test_an_unescaped_at_in_a_databases_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver would look for the host behind the first one, in vain and for ever."""

    class Tea(TeaSettings):
        database_url: str = "sqlite+aiosqlite:///tea.db"

    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.setenv("TEA_DATABASE_URL", "postgresql+asyncpg://u:hun@ter2@db:5432/tea")

    with pytest.raises(ValidationError) as caught:
        Tea()

    assert explain(caught.value, Tea) == ["TEA_DATABASE_URL: an @ in a URL's password is written %40"]
    Tea(database_url="postgresql+asyncpg://u:hun%40ter2@db:5432/tea")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+asyncpg://u:secret@db:5432/tea", "db:5432"),
        ("redis://cache", "cache"),
        ("redis://:secret@[::1]:6379/0", "[::1]:6379"),
        ("sqlite+aiosqlite:///tea.db", None),
        ("redis://u:1/secret@cache/0", None),
        ("redis://u:se@cr/et@cache/0", None),
        ("redis://u:1?secret@cache/0", None),
        ("/var/lib/cortex", None),
    ],
)
def test_where_a_url_leads_is_told_and_nothing_else_of_it(url: str, place: str | None) -> None:
    assert place_in(url) == place


def test_trouble_with_a_database_names_its_variable_and_where_that_leads() -> None:
    class Tea(TeaSettings):
        database_url: str = "postgresql+asyncpg://u:hunter2@db:5432/tea"

    told = with_its_variable(Tea(env="test"), EventStoreUnavailable("the database cannot be reached"))

    assert told == "TEA_DATABASE_URL: the database cannot be reached (at db:5432)"
