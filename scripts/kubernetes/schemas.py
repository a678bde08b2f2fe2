"""Kubernetes' own schemas, strictly: what the API server of a version would refuse, or drop without a word.

They come with the package kubernetes-validate, whose own entry reads all definitions anew for each object; here each is
read once. The types of others (`FOREIGN`) are not among them: their objects are held to the few fields that the chart
may use.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema.validators import Draft202012Validator  # type: ignore[import-untyped]  # stubs are a package apart
from referencing import Registry, Resource

from scripts.kubernetes.objects import Object, where

VERSION: Final = "1.34"
_TEXT: Final = {"type": "string"}
_SELECTOR: Final = {
    "type": "object",
    "properties": {"matchLabels": {}, "matchExpressions": {}},
    "additionalProperties": False,
}
FOREIGN: Final[dict[tuple[str, str], Object]] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): {
        "required": ["parentRefs", "rules"],
        "properties": {
            "hostnames": {"type": "array", "items": _TEXT},
            "parentRefs": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name"]}},
            "rules": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"matches": {}, "filters": {}, "timeouts": {}, "backendRefs": {"type": "array"}},
                    "additionalProperties": False,
                },
            },
        },
        "additionalProperties": False,
    },
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        "required": ["selector", "endpoints"],
        "properties": {
            "selector": _SELECTOR,
            "namespaceSelector": {"type": "object"},
            "jobLabel": _TEXT,
            "targetLabels": {"type": "array"},
            "endpoints": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["port"]}},
        },
        "additionalProperties": False,
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "required": ["groups"],
        "properties": {"groups": {"type": "array", "items": {"type": "object", "required": ["name", "rules"]}}},
        "additionalProperties": False,
    },
}


def mistakes(one: Object, version: str = VERSION) -> Iterator[str]:
    """A line for each: the object, the place in it, what is wrong there."""
    for error in sorted(_validator(one["apiVersion"], one["kind"], version).iter_errors(one), key=str):
        place = "/".join(map(str, error.absolute_path))
        yield f"{where(one)}: {place or 'the object'}: {error.message[:300]}"


@cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    """Raises FileNotFoundError for a type that neither Kubernetes nor `FOREIGN` has."""
    spec = FOREIGN.get((api_version, kind))
    if spec is not None:
        properties = {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": {"type": "object", **spec},
        }
        schema: Object = {"type": "object", "required": list(properties), "properties": properties}
        return Draft202012Validator({**schema, "additionalProperties": False})
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    contents = _read(version, f"{kind.lower()}-{group}.json")
    return Draft202012Validator(contents, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    return Resource.from_contents(_read(version, "_definitions.json")) @ Registry()


def _read(version: str, name: str) -> Any:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    return json.loads(files("kubernetes_validate").joinpath(folder, name).read_bytes())
