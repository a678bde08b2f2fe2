"""values.schema.json: the shape of values.yaml, told more exactly where the file cannot tell.

A value's type is that of its default; its description is its comment. Nothing but what the file names is allowed, so a
mistyped key is refused with its path. What the services' settings may be comes from the services.
"""

import json
from typing import Any, Final

import yaml

from cortex_core.security.scopes import SCOPES
from scripts.chart import comments, settings, shapes
from scripts.chart.shapes import Schema

_FREE: Final[Schema] = {"type": "object"}
_REPOSITORY: Final = "[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"

# By the last key of the path, or by the last two.
_EXACTLY: Final[dict[str, Schema]] = {
    "image.repository": {"type": "string", "pattern": f"^{_REPOSITORY}$"},
    # A tag may be longer, but every object has it as a label.
    "image.tag": {"type": "string", "pattern": shapes.LABEL_VALUE},
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
    "resources": shapes.RESOURCES,
    "startup": shapes.PROBE,
    "liveness": shapes.PROBE,
    "readiness": shapes.READINESS,
    "size": shapes.SOME,
    "averageValue": shapes.SOME,
    "port": shapes.PORT,
    **dict.fromkeys(("dnsPorts", "apiServerPorts"), shapes.PORTS),
    "replicas": shapes.whole(),
    "minReplicas": shapes.whole(1),
    "maxReplicas": shapes.whole(1),
    "cpu": shapes.whole(),
    "memory": shapes.whole(),
    "preStopSeconds": shapes.whole(0, 300),
    "scaleDownSeconds": shapes.whole(0, 3600),
    "deadlineSeconds": shapes.whole(1),
    "timeoutSeconds": shapes.whole(1),
    "maxConnections": shapes.whole(10, 262143),
    "maxSurge": shapes.SURGE,
    "maxUnavailable": shapes.COUNT_OR_PERCENT,
    "disruption.maxUnavailable": shapes.SOME_OR_PERCENT,
    "maxMemoryPercent": shapes.whole(1, 95),
    # `helm --set x=0.5` says "0.5".
    "latency": {"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]+([.][0-9]+)?$"},
    "failureRate": {"type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": "^(0([.][0-9]+)?|1([.]0+)?)$"},
    **dict.fromkeys(("payments.url", "otlpEndpoint", "runbookBaseUrl"), shapes.url("https?")),
    "jwksUrl": shapes.url("https"),
    "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
    "scopes": {"type": "array", "items": {"enum": list(SCOPES)}, "minItems": 1},
    **dict.fromkeys(("ingressFrom", "metricsFrom", "dns"), shapes.PEERS),
    "parentRefs": shapes.PARENTS,
    "tolerations": shapes.TOLERATIONS,
    **{f"externalTo.{each}": shapes.PEERS for each in ("stores", "payments", "issuer", "collector")},
    **dict.fromkeys(("matchLabels", "nodeSelector"), shapes.LABELS),
    **dict.fromkeys(("labels", "podLabels"), shapes.OWN_LABELS),
    **dict.fromkeys(("annotations", "podAnnotations", "serviceAnnotations"), shapes.ANNOTATIONS),
    "serviceAccountAnnotations": shapes.OF_AN_ACCOUNT,
    **dict.fromkeys(("existingSecret", "existingClaim", "storageClass", "priorityClassName", "tlsSecret"), shapes.NAME),
    **dict.fromkeys(("existingInternalKey", "existingPepper", "existingToken", "existingConfigMap"), shapes.NAME),
    **dict.fromkeys(("clusterDomain", "className"), shapes.NAME),
    **{f"existingRoleSecrets.{service}": shapes.NAME for service in settings.SERVICES},
    "external.metric": shapes.METRIC,
    "trust.key": shapes.DATA_KEY,
    **{f"podSecurity.{each}": shapes.USER for each in ("runAsUser", "runAsGroup", "fsGroup")},
    "affinity": shapes.AFFINITY,
    "ingress.host": {**shapes.HOSTNAME, "pattern": f"^({shapes.HOST})?$"},
    "hostnames": shapes.listed(shapes.HOSTNAME, maxItems=16),
    "dashboards.label": {"type": "string", "pattern": shapes.KEY},
    "imagePullSecrets": shapes.PULL_SECRETS,
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
