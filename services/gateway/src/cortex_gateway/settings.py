"""What the gateway is told by its environment: `GATEWAY_*`, and the shared settings of the chassis."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from cortex_core.asgi import ClientAddress, CorsPolicy
from cortex_core.chassis import Config, development, service_config
from cortex_core.chassis.settings import parsed
from cortex_core.security.static_tokens import StaticTokens, parse_static_tokens

_PLAN = re.compile(r"([a-z0-9][a-z0-9._-]{0,31})\s*=\s*([0-9]{1,10})/(s|min|h)", re.ASCII)
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RESERVED = frozenset({"default", "failed-attempts"})
_MOST = 10**9
_MOST_PLANS = 32
_PLACE = r"^https?://[^\s@\"<>\\]+$"  # a page's address; without credentials, for everybody is shown it
_ONE = r"https?://[^/?#\s@,]+"  # scheme and authority: paths are the route table's
_ADDRESS = rf"^{_ONE}(, ?{_ONE})*$"  # replicas, by commas


class Settings(Config):
    """The addresses are those of topology.toml on a developer's machine; production names its own."""

    model_config = service_config("GATEWAY_")
    service: ClassVar[str] = "gateway"
    at_the_edge: ClassVar[bool] = True

    port: int = 3000
    order_url: str = development("http://127.0.0.1:3001", pattern=_ADDRESS)
    notification_url: str = development("http://127.0.0.1:3002", pattern=_ADDRESS)
    analytics_url: str = development("http://127.0.0.1:3003", pattern=_ADDRESS)
    storage_url: str = development("http://127.0.0.1:3004", pattern=_ADDRESS)
    compute_url: str = development("http://127.0.0.1:3005", pattern=_ADDRESS)

    rate_limit_per_minute: int = Field(default=100, ge=0, le=10**9, description="Per client address; 0: no limit.")
    plans: Annotated[Mapping[str, tuple[int, float]], NoDecode] = Field(
        default={"free": (60, 60.0), "standard": (600, 60.0), "pro": (6000, 60.0)},
        description="Limits of API keys and users by their plan: free=60/min,pro=100/s. Each key has its own.",
    )
    default_plan: str = Field(default="standard", description="Of whoever's token or key names none of `plans`.")
    failed_attempts_per_minute: int = Field(
        default=20, ge=0, le=10**9, description="Credentials refused, per client address; 0: no limit."
    )
    rate_limit_store: Literal["redis", "memory"] = "redis"
    static_tokens: Path | None = Field(
        default=None, description="Tokens known without any store, a JSON file: docs/guides/authentication.md."
    )
    replicas: int = Field(default=1, ge=1, le=10_000, description="Each counts its share while Redis is away.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Networks whose word on where a request came from is believed, by commas."
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description="The one that these proxies write; with it they say -Proto and -Host."
    )
    ipv6_prefix: int = Field(default=64, ge=1, le=128, description="Bits of an IPv6 address that are one client.")
    tls_in_front: bool = Field(
        default=False, description="Somebody takes TLS off before us: HSTS is sent, services are told https."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Other origins whose pages may ask and connect, by commas, exactly as browsers write them; or *.",
    )
    policy_header: bool | None = Field(
        default=None, description="Cortex-Policy on answers; by default everywhere but in production."
    )
    compression_threshold: int = Field(default=1024, ge=0, description="Bytes from which an answer is compressed.")
    cache_bytes: int = Field(default=32 << 20, ge=0, description="Bytes of answers kept; 0: no cache.")

    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="`/metrics` on a port of its own, and not on the public one. 0: there, but nowhere in production.",
    )

    console: bool = Field(default=True, description="The web console at `/`.")
    grafana_url: str | None = Field(default=None, pattern=_PLACE, description="Linked from the console.")
    prometheus_url: str | None = Field(default=None, pattern=_PLACE, description="Linked from the console.")
    jaeger_url: str | None = Field(default=None, pattern=_PLACE, description="Linked from the console.")

    @property
    def dashboards(self) -> dict[str, str]:
        """The names and addresses of those that are set."""
        known = {"Grafana": self.grafana_url, "Prometheus": self.prometheus_url, "Jaeger": self.jaeger_url}
        return {name: address for name, address in known.items() if address is not None}

    @field_validator("plans", mode="before")
    @classmethod
    def _are_plans(cls, value: Any) -> Any:
        return _plans(value) if isinstance(value, str) else value

    def ways_to_know(self) -> dict[str, object]:
        return {**super().ways_to_know(), "GATEWAY_STATIC_TOKENS": self.static_tokens}

    @field_validator("static_tokens", mode="before")
    @classmethod
    def _no_place_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @model_validator(mode="after")
    def _static_tokens_fit(self) -> Self:
        tokens = self.known_tokens()
        if tokens is None:
            return self
        if self.internal_signing_key is None:
            raise ValueError(
                "GATEWAY_STATIC_TOKENS needs CORTEX_INTERNAL_SIGNING_KEY: services know such a token by our word alone"
            )
        for number, principal in enumerate(tokens.principals, 1):
            if principal.tenant not in self.tenants:
                raise ValueError(f"GATEWAY_STATIC_TOKENS: token {number}: its tenant is not one of CORTEX_TENANTS")
            if principal.plan is not None and principal.plan not in self.plans:
                raise ValueError(f"GATEWAY_STATIC_TOKENS: token {number}: its plan is not one of GATEWAY_PLANS")
        return self

    def known_tokens(self) -> StaticTokens | None:
        """Read now. Raises ValueError."""
        if self.static_tokens is None:
            return None
        folder, development = self.static_tokens.parent, self.env != "production"
        parse = partial(parse_static_tokens, folder=folder, development=development)
        return parsed("GATEWAY_STATIC_TOKENS", self.static_tokens, parse)

    @model_validator(mode="after")
    def _several_workers_count_together(self) -> Self:
        if self.rate_limit_store == "memory" and self.server_workers > 1:
            raise ValueError("GATEWAY_RATE_LIMIT_STORE=memory counts for one process: several workers need redis")
        return self

    @model_validator(mode="after")
    def _the_default_is_a_plan(self) -> Self:
        if self.default_plan not in self.plans:
            raise ValueError(f"GATEWAY_DEFAULT_PLAN must be one of GATEWAY_PLANS: {', '.join(self.plans)}")
        return self

    @model_validator(mode="after")
    def _figures_have_a_port_of_their_own(self) -> Self:
        if self.metrics_port and self.metrics_port == self.port:
            raise ValueError("GATEWAY_METRICS_PORT must be another than GATEWAY_PORT, which is the world's")
        return self

    @property
    def shows_metrics(self) -> bool:
        """In production this port is the world's, which has no business with our figures."""
        return self.env != "production" and not self.metrics_port

    @property
    def shows_details(self) -> bool:
        """In production this port is the world's, which has no business with what we are made of."""
        return self.env != "production"

    @property
    def shows_policy(self) -> bool:
        return self.env != "production" if self.policy_header is None else self.policy_header

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _places_by_commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        ClientAddress(trusted=value)  # raises ValueError for what is no network
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            CorsPolicy(value)  # raises ValueError for what is none
        return value


def _plans(text: str) -> dict[str, tuple[int, float]]:
    """`free=60/min,pro=100/s`. Raises ValueError, which shows what is wrong: nothing in it is secret."""
    plans: dict[str, tuple[int, float]] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        found = _PLAN.fullmatch(part)
        if found is None:
            raise ValueError(f"a plan is a name, = and so many a s, min or h: pro=100/s, not {part[:80]!r}")
        name, count, unit = found[1], int(found[2]), _UNITS[found[3]]
        if name in _RESERVED:
            raise ValueError(f"{name} is the name of another limit")
        if name in plans:
            raise ValueError(f"the plan {name} is there twice")
        if not 1 <= count <= _MOST:
            raise ValueError(f"a plan allows 1 to {_MOST} requests, not {count}")
        plans[name] = count, unit
    if not 1 <= len(plans) <= _MOST_PLANS:
        raise ValueError(f"there must be 1 to {_MOST_PLANS} plans")
    return plans
