"""What the gateway is told by its environment: `GATEWAY_*`, and the shared settings of the chassis."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from cortex_core.asgi import ClientAddress
from cortex_core.chassis import Config, development, service_config

_ADDRESS = r"^https?://[^/?#\s@]+$"  # scheme and authority: paths are the route table's


class Settings(Config):
    """The addresses are those of topology.toml on a developer's machine; production names its own."""

    model_config = service_config("GATEWAY_")
    service: ClassVar[str] = "gateway"

    port: int = 3000
    order_url: str = development("http://127.0.0.1:3001", pattern=_ADDRESS)
    notification_url: str = development("http://127.0.0.1:3002", pattern=_ADDRESS)
    analytics_url: str = development("http://127.0.0.1:3003", pattern=_ADDRESS)
    storage_url: str = development("http://127.0.0.1:3004", pattern=_ADDRESS)
    compute_url: str = development("http://127.0.0.1:3005", pattern=_ADDRESS)

    rate_limit_per_minute: int = Field(default=100, ge=0, le=10**9, description="Per client address; 0: no limit.")
    rate_limit_store: Literal["redis", "memory"] = "redis"
    replicas: int = Field(default=1, ge=1, le=10_000, description="Each counts its share while Redis is away.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Networks whose `proxy_header` is believed, by commas."
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description="The one that these proxies write."
    )
    ipv6_prefix: int = Field(default=64, ge=1, le=128, description="Bits of an IPv6 address that are one client.")
    tls_in_front: bool = Field(default=False, description="Somebody takes TLS off before us: HSTS is sent.")
    compression_threshold: int = Field(default=1024, ge=0, description="Bytes from which an answer is compressed.")
    cache_bytes: int = Field(default=32 << 20, ge=0, description="Bytes of answers kept; 0: no cache.")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _by_commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        ClientAddress(trusted=value)  # raises ValueError for what is no network
        return value
