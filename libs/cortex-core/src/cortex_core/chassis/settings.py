"""Settings: read once from the environment, typed, and in production free of development's conveniences.

`Config` holds what every service needs. A service subclasses it, names its prefix with `service_config`, and marks with
`development(…)` each default that only suits a developer's machine.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from cortex_core.chassis.guard_settings import GuardSettings
from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.setting_files import is_marked
from cortex_core.chassis.urls import check_redis_url, check_urls
from cortex_core.kernel.context import DEFAULT_TENANT
from cortex_core.security.api_keys.peppers import Peppers, is_development

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)

DEVELOPMENT_ISSUER: Final = "cortex-development"
"""Who signs on a developer's machine: `cortex token`."""

Some = TypeVar("Some")
Env = Literal["development", "test", "production"]


def service_config(prefix: str) -> SettingsConfigDict:
    """`ORDER_` → the field `payment_url` is read from `ORDER_PAYMENT_URL`."""
    return SettingsConfigDict(
        env_prefix=prefix, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


def development(default: Any, **more: Any) -> Any:
    """A default for a developer's machine. In production the service does not start until it is set to another."""
    return Field(default=default, json_schema_extra={"development": True}, **more)


def shared(name: str, default: Any, **more: Any) -> Any:
    """A field with one name for all services (`CORTEX_ENV`), not one per prefix."""
    return Field(default=default, validation_alias=AliasChoices(name), **more)


class Config(GuardSettings):
    """What every service is told. Unset `CORTEX_ENV` means production: the safe side is the default."""

    model_config = service_config("CORTEX_")

    service: ClassVar[str] = "service"
    at_the_edge: ClassVar[bool] = False
    """Anybody can connect: nobody's X-Cortex-Principal is believed."""
    port: int = Field(default=8000, ge=0, le=65535)
    host: str = "127.0.0.1"
    body_limit: int = Field(default=1 << 20, gt=0, description="Bytes a request's body may have.")
    shutdown_grace: float = Field(default=3.0, gt=0, description="Seconds for requests in progress at SIGTERM.")
    drain_delay: float | None = Field(
        default=None,
        ge=0,
        le=300,
        description="Seconds from SIGTERM, not ready and still answering, until it listens no more. Unset: 3 in"
        " production, else 0.",
    )
    server_workers: int = Field(default=1, ge=1, le=64, description="Processes on the one port.")

    env: Env = shared("CORTEX_ENV", "production")
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias=AliasChoices("CORTEX_REDIS_URL"),
        json_schema_extra={"development": True},
    )
    namespace: str = shared("CORTEX_NAMESPACE", "cortex", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    tenants: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset({DEFAULT_TENANT}),
        validation_alias=AliasChoices("CORTEX_TENANTS"),
        min_length=1,
        description="Tenants served here, by commas.",
    )
    bus_keep: float = shared(
        "CORTEX_BUS_KEEP", 7 * 24 * 3600.0, gt=0, description="Seconds that an event is kept which no group needs."
    )
    bus_keep_dead: float = shared(
        "CORTEX_BUS_KEEP_DEAD", 90 * 24 * 3600.0, gt=0, description="Seconds that a dead letter is kept."
    )
    share_circuits: bool = shared(
        "CORTEX_SHARE_CIRCUITS", False, description="Replicas tell each other over Redis whose circuit is open."
    )
    lease_ttl: float = shared(
        "CORTEX_LEASE_TTL", 3.0, ge=0.5, le=60.0, description="Seconds that a replica which died leading is missed for."
    )
    outbox_days: float = shared(
        "CORTEX_OUTBOX_DAYS", 7.0, gt=0, description="Days that sent events are kept, to repair the bus from."
    )
    inbox_days: float = shared(
        "CORTEX_INBOX_DAYS", 30.0, gt=0, description="Days that an event which comes again is known for."
    )
    anonymous: bool | None = shared(
        "CORTEX_ANONYMOUS", None, description="Serve who does not say who he is. Unset: not in production."
    )
    jwks: str | None = shared(
        "CORTEX_JWKS",
        None,
        description="The issuer's public keys, a JWK set or PEM: a file, or http(s)://….",
        json_schema_extra={"place": True},
    )
    token_issuer: str = shared("CORTEX_TOKEN_ISSUER", DEVELOPMENT_ISSUER, min_length=1)
    token_audience: str = shared("CORTEX_TOKEN_AUDIENCE", "cortex-hub", min_length=1)
    internal_keys: Path | None = shared(
        "CORTEX_INTERNAL_KEYS", None, description="The gateway's public keys, a JWK set or PEM: for services."
    )
    internal_signing_key: Path | None = shared(
        "CORTEX_INTERNAL_SIGNING_KEY", None, description="The gateway's private key, a JWK or PEM: for the gateway."
    )
    key_pepper: SecretStr | None = shared(
        "CORTEX_KEY_PEPPER",
        None,
        description="The secret under which API keys are stored; two by a comma while the first replaces the other.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = shared("CORTEX_LOG_LEVEL", "info")
    otlp_endpoint: str | None = shared("OTEL_EXPORTER_OTLP_ENDPOINT", None, pattern=r"^https?://[^\s]+$")
    trace_sample_ratio: float = shared("CORTEX_TRACE_SAMPLE_RATIO", 1.0, ge=0, le=1)

    @property
    def connection_limits(self) -> ConnectionLimits:
        """Who need not say who he is may be a page whose name was led here: see `http_protocol/hosts.py`."""
        setting = self.variable("hosts") if self.serves_anonymous else ""
        return replace(super().connection_limits, hosts_setting=setting)

    @property
    def draining_seconds(self) -> float:
        """`drain_delay`, or what the environment makes of it."""
        if self.drain_delay is None:
            return 3.0 if self.env == "production" else 0.0
        return self.drain_delay

    @field_validator("tenants", mode="before")
    @classmethod
    def _tenants_by_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, value: frozenset[str]) -> frozenset[str]:
        if not all(_TENANT.fullmatch(tenant) for tenant in value):
            raise ValueError("a tenant is 1 to 63 of a-z 0-9 -, and begins with a letter or a figure")
        return value

    @field_validator("jwks", "internal_keys", "internal_signing_key", "key_pepper", "otlp_endpoint", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        """As compose files pass on what nobody set."""
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("otlp_endpoint")
    @classmethod
    def _spans_can_be_sent(cls, value: str | None) -> str | None:
        if value is not None:
            from cortex_core.observability.exporters import otlp_is_installed  # late: who sends none needs none of it

            if not otlp_is_installed():
                raise ValueError("what sends traces is not installed: install cortex-core[otlp], or leave it unset")
        return value

    @field_validator("key_pepper")
    @classmethod
    def _is_a_pepper(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Peppers.of(value.get_secret_value())  # raises ValueError, and does not repeat it
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, value: SecretStr) -> SecretStr:
        check_redis_url(value.get_secret_value())
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

    @model_validator(mode="after")
    def _urls_can_be_used(self) -> Self:
        check_urls(self)
        return self

    @model_validator(mode="after")
    def _somebody_can_be_known(self) -> Self:
        """In production. Elsewhere a service without any keys serves whoever comes."""
        if self.env != "production":
            return self
        if self.anonymous:
            raise ValueError("CORTEX_ANONYMOUS cannot be on in production: everybody has to say who he is")
        ways = self.ways_to_know()
        if not any(ways.values()):
            raise ValueError(f"production needs a way to know who asks: set one of {', '.join(ways)}")
        if self.key_pepper is not None and any(map(is_development, self.key_pepper.get_secret_value().split(","))):
            raise ValueError("production needs its own CORTEX_KEY_PEPPER: this one was made for development")
        if self.jwks is not None and self.token_issuer == DEVELOPMENT_ISSUER:
            raise ValueError("production needs its own value for CORTEX_TOKEN_ISSUER, beside CORTEX_JWKS")
        if self.jwks is not None and self.jwks.lower().startswith("http://"):
            raise ValueError(
                "CORTEX_JWKS must be a file or https:// in production: whoever is between could be anybody"
            )
        return self

    @model_validator(mode="after")
    def _keys_can_be_read(self) -> Self:
        """What is wrong with a key is known at the start, not at the first request."""
        files = {"CORTEX_INTERNAL_KEYS": self.internal_keys, "CORTEX_INTERNAL_SIGNING_KEY": self.internal_signing_key}
        if self.jwks is not None and not is_url(self.jwks):
            files["CORTEX_JWKS"] = Path(self.jwks)
        for variable, file in files.items():
            if file is not None:
                from cortex_core.security import jwks  # late: a service without keys starts without the mathematics

                private = variable == "CORTEX_INTERNAL_SIGNING_KEY"
                parse = jwks.parse_signing_key if private else jwks.parse_key_set
                parsed(variable, file, partial(parse, development=self.env != "production"))
        if self.internal_signing_key is not None and self.internal_keys is not None:
            self._halves_fit(self.internal_signing_key, self.internal_keys)
        return self

    def _halves_fit(self, private: Path, public: Path) -> None:
        """Services that are given the same keys would refuse whatever we sign. Raises ValueError."""
        from cortex_core.security.jwks import parse_key_set, parse_signing_key

        known, _ = parse_key_set(public.read_bytes(), development=True)
        if parse_signing_key(private.read_bytes(), development=True).kid not in known:
            raise ValueError("CORTEX_INTERNAL_KEYS must hold the public half of CORTEX_INTERNAL_SIGNING_KEY")

    def ways_to_know(self) -> dict[str, object]:
        """By their variables, what tells this service who asks; falsy where it is not set."""
        ways: dict[str, object] = {"CORTEX_JWKS": self.jwks, "CORTEX_KEY_PEPPER": self.key_pepper}
        return ways if self.at_the_edge else {**ways, "CORTEX_INTERNAL_KEYS": self.internal_keys}

    @property
    def shows_metrics(self) -> bool:
        """Whether `/metrics` is on the service's own port."""
        return True

    @property
    def shows_details(self) -> bool:
        """Whether `/health` and `/health/ready` tell what the service stands on, and what ails it."""
        return True

    @property
    def serves_anonymous(self) -> bool:
        return self.env != "production" if self.anonymous is None else self.anonymous

    def _is_development(self, name: str) -> bool:
        field = type(self).model_fields[name]
        return is_marked(field, "development") and getattr(self, name) == field.default


def is_url(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def parsed(variable: str, file: Path, parse: Callable[[bytes], Some]) -> Some:
    """What `parse` makes of the file. Raises ValueError with what is wrong, and never with what stands in the file, if
    the ValueError of `parse` does not."""
    try:
        return parse(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{variable}: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{variable}: {file} cannot be used: {error}") from None
