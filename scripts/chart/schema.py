"""values.schema.json: the shape of values.yaml, told more exactly where the file cannot tell.

A value's type is that of its default; its description is its comment. Nothing but what the file names is allowed, so a
mistyped key is refused with its path. What the services' settings may be comes from the services.
"""

import json
from typing import Any, Final

import yaml

from cortex_core.security.scopes import SCOPES
from scripts.chart import comments, settings

Schema = dict[str, Any]

_FREE: Final[Schema] = {"type": "object"}
_KEY: Final = "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_LABEL: Final = "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
_HOST: Final = "([*][.])?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
_REPOSITORY: Final = "[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
_ANNOTATIONS: Final[Schema] = {
    "type": "object",
    "patternProperties": {_KEY: {"type": "string"}},
    "additionalProperties": False,
}
_LABELS: Final[Schema] = {
    "type": "object",
    "patternProperties": {_KEY: {"type": "string", "pattern": _LABEL}},
    "additionalProperties": False,
}
_OBJECTS: Final[Schema] = {"type": "array", "items": {"type": "object"}}
_NAME: Final[Schema] = {"type": "string", "maxLength": 253, "pattern": "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$"}
_QUANTITY: Final[Schema] = {"type": ["string", "number"], "pattern": "^[0-9]+([.][0-9]+)?([EPTGMk]i?|m)?$"}
_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_PORTS: Final[Schema] = {"type": "array", "items": _PORT, "minItems": 1}
_WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
_PLACE: Final[Schema] = {"type": "string", "pattern": "^(https?://[^\\s]+)?$"}
_COUNT_OR_PERCENT: Final[Schema] = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}
_AMOUNTS: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": dict.fromkeys(("cpu", "memory", "ephemeral-storage"), _QUANTITY),
    "patternProperties": {"^hugepages-[0-9]+[KMG]i$": _QUANTITY},
}
_RESOURCES: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"requests": _AMOUNTS, "limits": _AMOUNTS},
}
_OWN_LABELS: Final[Schema] = {  # by a pattern: of `propertyNames` Helm names a path at random
    **_LABELS,
    "patternProperties": {
        **_LABELS["patternProperties"],
        "^(app[.]kubernetes[.]io|helm[.]sh)/": False,  # selectors are made of the chart's
    },
}
_PROBE: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        key: {"type": "integer", "minimum": least}
        for key, least in {
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 1,
            "successThreshold": 1,
        }.items()
    },
}

# By the last key of the path, or by the last two.
_EXACTLY: Final[dict[str, Schema]] = {
    "image.repository": {"type": "string", "pattern": f"^{_REPOSITORY}$"},
    "image.tag": {"type": "string", "pattern": _LABEL},  # a tag may be longer, but every object has it as a label
    **{
        f"{store}.image": {
            "type": "string",
            "pattern": f"^{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$",
        }
        for store in ("redis", "postgresql")
    },
    **{
        f"digests.{service}": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"} for service in settings.SERVICES
    },
    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "secrets.by": {"enum": ["helm", "job"]},
    "accessMode": {"enum": ["ReadWriteOnce", "ReadWriteMany"]},
    "resources": _RESOURCES,
    "startup": _PROBE,
    "liveness": _PROBE,
    "readiness": _PROBE,
    "size": _QUANTITY,
    "averageValue": _QUANTITY,
    "port": _PORT,
    **dict.fromkeys(("dnsPorts", "apiServerPorts"), _PORTS),
    "replicas": _WHOLE,
    "minReplicas": {"type": "integer", "minimum": 1},
    "maxReplicas": {"type": "integer", "minimum": 1},
    "cpu": _WHOLE,
    "memory": _WHOLE,
    "preStopSeconds": {"type": "integer", "minimum": 0, "maximum": 300},
    "scaleDownSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
    "deadlineSeconds": {"type": "integer", "minimum": 1},
    "timeoutSeconds": {"type": "integer", "minimum": 1},
    "maxConnections": {"type": "integer", "minimum": 10},
    "maxSurge": _COUNT_OR_PERCENT,
    "maxUnavailable": _COUNT_OR_PERCENT,
    "disruption.maxUnavailable": {"type": ["integer", "string"], "minimum": 1, "pattern": "^[1-9][0-9]{0,2}%$"},
    "maxMemoryPercent": {"type": "integer", "minimum": 1, "maximum": 95},
    # `helm --set x=0.5` says "0.5".
    "latency": {"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]+([.][0-9]+)?$"},
    "failureRate": {"type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": "^(0([.][0-9]+)?|1([.]0+)?)$"},
    "payments.url": _PLACE,
    "otlpEndpoint": _PLACE,
    "jwksUrl": {"type": "string", "pattern": "^(https://[^\\s]+)?$"},
    "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
    "scopes": {"type": "array", "items": {"enum": list(SCOPES)}, "minItems": 1},
    **dict.fromkeys(("ingressFrom", "metricsFrom", "dns", "parentRefs", "tolerations"), _OBJECTS),
    **{f"externalTo.{each}": _OBJECTS for each in ("stores", "payments", "issuer", "collector")},
    **dict.fromkeys(("labels", "matchLabels", "nodeSelector"), _LABELS),
    **dict.fromkeys(("global.labels", "podLabels"), _OWN_LABELS),
    **dict.fromkeys(("annotations", "podAnnotations", "serviceAccountAnnotations", "serviceAnnotations"), _ANNOTATIONS),
    **dict.fromkeys(("existingSecret", "existingClaim", "storageClass", "priorityClassName", "tlsSecret"), _NAME),
    **dict.fromkeys(("existingInternalKey", "existingPepper", "existingToken", "clusterDomain"), _NAME),
    "affinity": _FREE,
    "ingress.host": {"type": "string", "maxLength": 253, "pattern": f"^({_HOST})?$"},
    "hostnames": {"type": "array", "items": {"type": "string", "maxLength": 253, "pattern": f"^{_HOST}$"}},
    "dashboards.label": {"type": "string", "pattern": _KEY},
    "imagePullSecrets": _OBJECTS,
}


def generate(values_text: str) -> str:
    """The file's text. Raises ValueError for a value whose type neither its default nor the table above tells."""
    said = comments.read(values_text)
    values = yaml.safe_load(values_text)
    schema = _of((), values, said)
    properties = schema["properties"]
    properties["settings"] = _settings(settings.shared(), said[("settings",)])
    defaults = properties["serviceDefaults"]
    defaults["properties"]["settings"] = _settings(settings.of_every_service(), said[("serviceDefaults", "settings")])
    for service in settings.SERVICES:
        properties["services"]["properties"][service] = _service(service, defaults, values, said)
    for subchart in ("redis", "postgresql"):
        properties[subchart]["properties"]["global"] = _FREE  # Helm hands it down
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of Cortex Hub", **schema}
    return json.dumps(whole, indent=1) + "\n"


def _service(service: str, defaults: Schema, values: dict[str, Any], said: dict[comments.Path, str]) -> Schema:
    """`serviceDefaults` again, with the service's own settings, and what only this service has (a volume)."""
    own = _of(("services", service), values["services"][service], said)
    properties = {
        **defaults["properties"],
        **{k: v for k, v in own["properties"].items() if k not in defaults["properties"]},
    }
    properties["settings"] = _settings(settings.of(service), f"Settings, `{service.upper()}_*`.")
    return {**own, "properties": properties}


def _settings(known: list[settings.Setting], description: str) -> Schema:
    properties = {each.key: each.schema for each in known}
    return {"type": "object", "description": description, "additionalProperties": False, "properties": properties}


def _of(path: comments.Path, value: Any, said: dict[comments.Path, str]) -> Schema:
    schema = _exactly(path) or _by_default(path, value, said)
    return {**schema, "description": said[path]} if said.get(path) else schema


def _exactly(path: comments.Path) -> Schema | None:
    return _EXACTLY.get(".".join(path[-2:])) or _EXACTLY.get(path[-1] if path else "")


def _by_default(path: comments.Path, value: Any, said: dict[comments.Path, str]) -> Schema:
    match value:
        case dict():
            properties = {key: _of((*path, key), each, said) for key, each in value.items()}
            return {"type": "object", "additionalProperties": False, "properties": properties}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
    raise ValueError(f"{'.'.join(path)}: say in scripts/chart/schema.py what it may be")
