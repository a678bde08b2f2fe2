"""Settings: read once from the environment, typed, and in production free of development's conveniences.

`Config` holds what every service needs. A service subclasses it, names its prefix with `service_config`, and marks with
`development(…)` each default that only suits a developer's machine.
"""

import re
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cortex_core.kernel.context import DEFAULT_TENANT

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)

Env = Literal["development", "test", "production"]


def service_config(prefix: str) -> SettingsConfigDict:
    """`ORDER_` → the field `payment_url` is read from `ORDER_PAYMENT_URL`."""
    return SettingsConfigDict(env_prefix=prefix, populate_by_name=True, extra="ignore", frozen=True)


def development(default: Any, **more: Any) -> Any:
    """A default for a developer's machine. In production the service does not start until it is set to another."""
    return Field(default=default, json_schema_extra={"development": True}, **more)


def _shared(name: str, default: Any, **more: Any) -> Any:
    """A field with one name for all services (`CORTEX_ENV`), not one per prefix."""
    return Field(default=default, validation_alias=AliasChoices(name), **more)


class Config(BaseSettings):
    """What every service is told. Unset `CORTEX_ENV` means production: the safe side is the default."""

    model_config = service_config("CORTEX_")

    service: ClassVar[str] = "service"
    port: int = Field(default=8000, ge=0, le=65535)
    host: str = "127.0.0.1"
    body_limit: int = Field(default=1 << 20, gt=0, description="Bytes a request's body may have.")
    shutdown_grace: float = Field(default=3.0, gt=0, description="Seconds for requests in progress at SIGTERM.")

    env: Env = _shared("CORTEX_ENV", "production")
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias=AliasChoices("CORTEX_REDIS_URL"),
        json_schema_extra={"development": True},
    )
    namespace: str = _shared("CORTEX_NAMESPACE", "cortex", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    tenants: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset({DEFAULT_TENANT}),
        validation_alias=AliasChoices("CORTEX_TENANTS"),
        min_length=1,
        description="Tenants served here, by commas.",
    )
    bus_keep: float = _shared(
        "CORTEX_BUS_KEEP", 7 * 24 * 3600.0, gt=0, description="Seconds that an event is kept which no group needs."
    )
    bus_keep_dead: float = _shared(
        "CORTEX_BUS_KEEP_DEAD", 90 * 24 * 3600.0, gt=0, description="Seconds that a dead letter is kept."
    )
    share_circuits: bool = _shared(
        "CORTEX_SHARE_CIRCUITS", False, description="Replicas tell each other over Redis whose circuit is open."
    )
    lease_ttl: float = _shared(
        "CORTEX_LEASE_TTL", 3.0, ge=0.5, le=60.0, description="Seconds that a replica which died leading is missed for."
    )
    outbox_days: float = _shared(
        "CORTEX_OUTBOX_DAYS", 7.0, gt=0, description="Days that sent events are kept, to repair the bus from."
    )
    inbox_days: float = _shared(
        "CORTEX_INBOX_DAYS", 30.0, gt=0, description="Days that an event which comes again is known for."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _shared("CORTEX_LOG_LEVEL", "info")
    otlp_endpoint: str | None = _shared("OTEL_EXPORTER_OTLP_ENDPOINT", None)
    trace_sample_ratio: float = _shared("CORTEX_TRACE_SAMPLE_RATIO", 1.0, ge=0, le=1)

    @field_validator("tenants", mode="before")
    @classmethod
    def _by_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, value: frozenset[str]) -> frozenset[str]:
        if not all(_TENANT.fullmatch(tenant) for tenant in value):
            raise ValueError("a tenant is 1 to 63 of a-z 0-9 -, and begins with a letter or a figure")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, value: SecretStr) -> SecretStr:
        scheme, separator, place = value.get_secret_value().partition("://")
        if scheme not in {"redis", "rediss", "unix"} or not separator or not place:
            raise ValueError("a Redis URL is redis://host:port/0, rediss://… or unix:///path")
        return value

    @model_validator(mode="after")
    def _what_may_come_again_is_known(self) -> Self:
        """A repair publishes again what is up to `outbox_days` old, and the bus keeps that for `bus_keep` from then."""
        if self.inbox_days <= self.outbox_days + self.bus_keep / 86_400:
            raise ValueError("CORTEX_INBOX_DAYS must be more than CORTEX_OUTBOX_DAYS and CORTEX_BUS_KEEP together")
        return self

    @model_validator(mode="after")
    def _production_is_explicit(self) -> Self:
        if self.env != "production":
            return self
        left = sorted(self.variable(name) for name in type(self).model_fields if self._is_development(name))
        if left:
            names = ", ".join(left)
            raise ValueError(
                f"production needs its own value for {names} (set CORTEX_ENV=development on a developer's machine)"
            )
        return self

    def _is_development(self, name: str) -> bool:
        field = type(self).model_fields[name]
        extra = field.json_schema_extra
        marked = isinstance(extra, dict) and extra.get("development") is True
        return marked and getattr(self, name) == field.default

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable a field is read from."""
        alias = cls.model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            return str(alias.choices[0])
        return f"{cls.model_config.get('env_prefix', '')}{name}".upper()


def explain(error: ValidationError, settings: type[Config]) -> list[str]:
    """One line a mistake, each naming the environment variable. Values are not repeated: they may be secrets."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        message = mistake["msg"].removeprefix("Value error, ")
        field = str(mistake["loc"][0]) if mistake["loc"] else ""
        if field in settings.model_fields:
            field = settings.variable(field)
        lines.append(f"{field}: {message}" if field else message)
    return lines
