"""ANALYTICS_* environment, read once. What each is for stands in the README's table."""

from typing import ClassVar

from pydantic import Field

from cortex_core.chassis import Config, development, service_config


class Settings(Config):
    """What an analytics process is told, beside what every service is."""

    model_config = service_config("ANALYTICS_")
    service: ClassVar[str] = "analytics"

    port: int = Field(default=3003, ge=0, le=65535)
    database_url: str = development(
        "sqlite+aiosqlite:///.cortex/data/analytics.db", repr=False
    )  # it may hold a password
    exporter_host: str = "127.0.0.1"
    exporter_port: int = Field(default=9090, ge=0, le=65535, description="0: no exporter.")
