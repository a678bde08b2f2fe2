"""Settings of all six services: each reads every shared variable, and none takes a validator of `Config` away.

pydantic keeps a validator under its attribute's name: a subclass that uses the name for another replaces it, silently.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator

import cortex_analytics.settings
import cortex_compute.settings
import cortex_gateway.settings
import cortex_notification.settings
import cortex_order.settings
import cortex_storage.settings
from cortex_core.chassis import Config

SETTINGS: list[type[Config]] = [
    cortex_analytics.settings.Settings,
    cortex_compute.settings.Settings,
    cortex_gateway.settings.Settings,
    cortex_notification.settings.Settings,
    cortex_order.settings.Settings,
    cortex_storage.settings.Settings,
]
each = pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: str(settings.service))


def replaced(settings: type[BaseModel]) -> Iterator[str]:
    """Attributes of `settings` in the place of which an ancestor has a validator, a serializer or a computed field."""
    models = [base for base in settings.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]
    for model in models:
        for ancestor in models[models.index(model) + 1 :]:
            decorators = ancestor.__pydantic_decorators__
            names = {name for kind in fields(decorators) for name in getattr(decorators, kind.name)}
            yield from sorted(f"{model.__qualname__}.{name}" for name in names & model.__dict__.keys())


@each
def test_no_subclass_takes_the_name_of_a_validator_of_config(settings: type[Config]) -> None:
    assert list(replaced(settings)) == []


def test_the_rule_sees_a_validator_that_is_replaced() -> None:
    class Above(BaseModel):
        names: tuple[str, ...] = ()

        @field_validator("names", mode="before")
        @classmethod
        def _by_commas(cls, value: Any) -> Any:
            return value

    class Below(Above):
        others: tuple[str, ...] = ()

        @field_validator("others", mode="before")
        @classmethod
        def _by_commas(cls, value: Any) -> Any:
            return value

    assert [name.rpartition(".")[2] for name in replaced(Below)] == ["_by_commas"]


@each
def test_every_list_is_read_by_commas(settings: type[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared ones under one name, and those of a prefix of its own under that."""
    lists = {
        "tenants": ("public, acme", {"public", "acme"}),
        "hosts": ("a.test, b.test", {"a.test", "b.test"}),
        "trusted_proxies": ("10.0.0.0/8, ::1/128", {"10.0.0.0/8", "::1/128"}),
        "cors_origins": ("https://a.test, https://b.test", {"https://a.test", "https://b.test"}),
        "origins": ("https://a.test, https://b.test", {"https://a.test", "https://b.test"}),
    }
    known = {name: both for name, both in lists.items() if name in settings.model_fields}
    collections = {name for name, field in settings.model_fields.items() if "[str" in str(field.annotation)}
    assert collections - {"plans"} == known.keys()
    monkeypatch.setenv("CORTEX_ENV", "test")
    for name, (text, _) in known.items():
        monkeypatch.setenv(settings.variable(name), text)

    read = settings()

    assert {name: set(getattr(read, name)) for name in known} == {name: parts for name, (_, parts) in known.items()}


@each
def test_what_is_no_tenant_stops_the_start(settings: type[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "test")
    monkeypatch.setenv("CORTEX_TENANTS", "public,Acme")

    with pytest.raises(ValidationError, match="a tenant is"):
        settings()
