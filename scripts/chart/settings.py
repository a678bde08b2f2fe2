"""The services' settings as values of the chart: which there are, by which name, and what they may be.

Owns which settings are the chart's to give (addresses, secrets, ports) and no value. Refuses none else: a new setting
of a service is a new value.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cortex_core.chassis import Config

SERVICES: Final = ("gateway", "order", "notification", "analytics", "storage", "compute")

_GIVEN: Final = frozenset(
    {
        *("env", "host", "port", "exporter_host", "exporter_port", "blocks_dir", "database_url", "redis_url"),
        *("jwks", "token_issuer", "token_audience", "internal_keys", "internal_signing_key", "key_pepper"),
        "hosts",  # kubelet and Prometheus ask a pod by its address: what an Ingress takes is said there
        *("static_tokens", "metrics_port", "otlp_endpoint", "payment_url", "anonymous", "replica", "replicas"),
        *(f"{service}_url" for service in SERVICES),
    }
)
_KEPT: Final = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "description")


@dataclass(frozen=True, slots=True)
class Setting:
    """`key` is the value's name, `schema` its JSON Schema, `variable` what the service reads."""

    key: str
    variable: str
    schema: dict[str, Any]


def of(service: str) -> list[Setting]:
    """Those under `services.<service>.settings`: all that begin with the service's prefix."""
    model: type[Config] = importlib.import_module(f"cortex_{service}.settings").Settings
    prefix = f"{service.upper()}_"
    return [each for each in _settings(model) if each.variable.startswith(prefix)]


def shared() -> list[Setting]:
    """Those under `settings`: `CORTEX_*`, the same for all."""
    return list(_settings(Config))


def of_every_service() -> list[Setting]:
    """Those that each service has under its own prefix: what `serviceDefaults.settings` may say. Bounds that only some
    services have are left to those."""
    per_service = {service: {each.key: each for each in of(service)} for service in SERVICES}
    keys = set.intersection(*(set(settings) for settings in per_service.values()))
    return sorted((per_service["analytics"][key] for key in keys), key=lambda setting: setting.key)


def _settings(model: type[Config]) -> Iterator[Setting]:
    properties = model.model_json_schema(by_alias=False)["properties"]
    own = model.model_config.get("env_prefix", "")
    for name in model.model_fields:
        variable = model.variable(name)
        if name in _GIVEN or (model is Config and not _is_shared(model, name)):
            continue
        prefix = own if variable.startswith(own) and not variable.startswith("CORTEX_") else "CORTEX_"
        yield Setting(_key(variable.removeprefix(prefix)), variable, _narrowed(properties[name]))


def _is_shared(model: type[Config], name: str) -> bool:
    return model.model_fields[name].validation_alias is not None


def _key(variable: str) -> str:
    """PAYMENT_TIMEOUT -> paymentTimeout."""
    first, *others = variable.lower().split("_")
    return first + "".join(part.capitalize() for part in others)


def _narrowed(schema: dict[str, Any]) -> dict[str, Any]:
    """What JSON Schema can say of it; the service says the rest."""
    branches = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    (branch,) = branches
    kept = {key: branch.get(key, schema.get(key)) for key in _KEPT if key in branch or key in schema}
    match branch.get("type"):
        case "array":
            kept = {"type": "array", "items": {"type": "string"}, **_text(kept)}
        case "object":
            kept = {"type": "string", **_text(kept)}
        case "number":
            kept |= {"type": ["number", "string"], "pattern": "^[0-9]+([.][0-9]+)?$"}  # `helm --set x=0.5` says "0.5"
    if "default" in schema and isinstance(schema["default"], str | int | float | bool):
        kept["default"] = schema["default"]
    return kept


def _text(kept: dict[str, Any]) -> dict[str, Any]:
    return {"description": kept["description"]} if "description" in kept else {}
