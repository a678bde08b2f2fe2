"""ORDER_* environment, read once. What each is for stands in the README's table too; a test holds the two together."""

from typing import ClassVar

from pydantic import Field

from cortex_core.chassis import Config, development, service_config


class Settings(Config):
    """Times in seconds."""

    model_config = service_config("ORDER_")
    service: ClassVar[str] = "order"

    port: int = Field(default=3001, ge=0, le=65535)
    database_url: str = development("sqlite+aiosqlite:///.cortex/data/order.db", repr=False)  # it may hold a password

    payment_url: str = development("http://127.0.0.1:3010", pattern=r"^https?://[^\s]+$")
    payment_timeout: float = Field(default=2.0, gt=0, le=60)
    payment_attempts: int = Field(default=3, ge=1, le=20)
    payment_retry_delay: float = Field(default=1.0, ge=0, le=30)
    payment_wait: float = Field(default=60.0, ge=0, le=86_400)

    payment_failures: int = Field(default=3, ge=1, le=1000)
    payment_reset: float = Field(default=5.0, gt=0, le=600)
    payment_calls: int = Field(default=32, ge=1, le=1024)

    idempotency_keep: float = Field(default=86_400.0, gt=0, le=31_536_000)

    concurrency: int = Field(default=64, ge=1, le=1024)
    claim: float = Field(default=30.0, ge=1, le=3600)
    replica: str = Field(default="", pattern=r"^[\x21-\x7e]{0,200}$")
    active: int = Field(default=10_000, ge=1, le=1_000_000)
    passivate: float = Field(default=30.0, gt=0, le=3600)
    drain: float = Field(default=1.0, ge=0, le=30)
