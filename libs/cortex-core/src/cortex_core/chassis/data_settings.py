"""What a command that looks after a service's data is told: the database's URL, and nothing else of its service.

A job that upgrades a database runs before the service does, and has none of its other secrets.
"""

from typing import Any, Self

from pydantic import model_validator

from cortex_core.chassis.setting_files import FromEnvironment
from cortex_core.chassis.settings import Config, Env, shared
from cortex_core.chassis.urls import check_urls


def database_url(settings: type[Config]) -> str:
    """Of the service that has these settings. In production it has to be set. Raises ValidationError."""

    field: Any = settings.model_fields["database_url"]

    class Data(FromEnvironment):
        model_config = settings.model_config
        env: Env = shared("CORTEX_ENV", "production")
        database_url: str = field

        @model_validator(mode="after")
        def _is_fit_for_production(self) -> Self:
            if self.env == "production" and self.database_url == field.default:
                raise ValueError(f"production needs its own value for {self.variable('database_url')}")
            check_urls(self)
            return self

    return Data().database_url
