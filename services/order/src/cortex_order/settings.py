"""ORDER_* environment, read once. What each is for stands in the README's table too; a test holds the two together."""

from typing import ClassVar

from pydantic import Field

from cortex_core.chassis import Config, development, service_config


class Settings(Config):
    """Times in seconds."""

    model_config = service_config("ORDER_")
    service: ClassVar[str] = "order"

    port: int = Field(default=3001, ge=0, le=65535)
    database_url: str = development("sqlite+aiosqlite:///.cortex/data/order.db")

    payment_url: str = development("http://127.0.0.1:3010", pattern=r"^https?://[^\s]+$")
    payment_timeout: float = Field(default=2.0, gt=0, le=60)
    payment_attempts: int = Field(default=3, ge=1, le=20)
    payment_retry_delay: float = Field(default=1.0, ge=0, le=30)
    payment_wait: float = Field(default=60.0, ge=0, le=86_400)

    concurrency: int = Field(default=64, ge=1, le=1024)
    drain: float = Field(default=1.0, ge=0, le=30)
