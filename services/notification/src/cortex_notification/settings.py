"""NOTIFICATION_* environment, read once."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from cortex_core.chassis import Config, service_config


class Settings(Config):
    """What a notification process is told, beside what every service is. See the README for the table."""

    model_config = service_config("NOTIFICATION_")

    service: ClassVar[str] = "notification"
    port: int = Field(default=3002, ge=0, le=65535)

    connections: int = Field(default=900, ge=1, description="Clients at once; mind the process's limit of open files.")
    connections_per_caller: int = Field(default=100, ge=1, description="Of one API key, user, or anonymous address.")
    connections_per_tenant: int | None = Field(
        default=None, ge=1, description="Of one tenant. Unset: two thirds of all; all where there is but one tenant."
    )
    queue: int = Field(default=256, ge=1, description="Frames that may wait for one client.")
    send_timeout: float = Field(default=5.0, gt=0, description="Seconds a client may take for one frame.")
    remembered: int = Field(default=50_000, ge=1, description="Events, so that one that comes again is told once.")
    message_limit: int = Field(default=4096, ge=2, description="Bytes of one message from a client.")
    message_rate: float = Field(default=10.0, gt=0, description="Messages a second from one client, in the long run.")
    message_burst: int = Field(default=20, ge=1, description="Messages at once from one client.")
    origins: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Further origins whose pages may connect, by commas; * for any."
    )

    @property
    def room_of_a_tenant(self) -> int:
        if self.connections_per_tenant is not None:
            return self.connections_per_tenant
        return self.connections if len(self.tenants) == 1 else max(1, self.connections * 2 // 3)

    @field_validator("origins", mode="before")
    @classmethod
    def _origins_by_commas(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return frozenset(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in value - {"*"}:
            scheme, separator, host = origin.partition("://")
            if not scheme or not separator or not host or "/" in host:
                raise ValueError("an origin is scheme://host[:port], or * for any")
        return value
