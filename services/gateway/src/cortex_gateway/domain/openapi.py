"""One OpenAPI document out of several: the gateway's own and, under its prefix, what each service says of itself."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final

Document = dict[str, Any]
Serves = Callable[[str, str, str], bool]  # method, the service's path, the service

_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_FROM_THE_GATEWAY: Final = {
    "503": {"description": "Service Unavailable: `upstream.unavailable`", "content": _PROBLEM},
    "504": {"description": "Gateway Timeout: `upstream.timeout`", "content": _PROBLEM},
}


def merge(own: Document, others: Mapping[str, Document | None], *, prefix: str, serves: Serves) -> Document:
    """`own` and every operation of `others` that is reached through us. Who could not be asked (None) is named in
    `x-cortex-unavailable`. Components of one name and different content get their service's name in front."""
    merged = deepcopy(own)
    components = merged.setdefault("components", {})
    for service, document in others.items():
        if document is None:
            continue
        renamed = _add_components(components, service, document.get("components", {}))
        for path, item in document.get("paths", {}).items():
            operations = {
                name: _operation(service, operation) if name in _METHODS else operation
                for name, operation in item.items()
                if name not in _METHODS or serves(name.upper(), path, service)
            }
            if _METHODS & operations.keys():
                merged["paths"][prefix + path] = _with_references(operations, renamed)
    merged["x-cortex-unavailable"] = [service for service, document in others.items() if document is None]
    return merged


def _operation(service: str, operation: Document) -> Document:
    described = {**operation, "tags": [service]}
    if "operationId" in operation:
        described["operationId"] = f"{service}_{operation['operationId']}"
    described["responses"] = {**_FROM_THE_GATEWAY, **operation.get("responses", {})}
    return described


def _add_components(components: Document, service: str, additions: Document) -> dict[str, str]:
    """Adds what is not there yet. Returns old to new reference for what had to be renamed."""
    clashing = {
        f"#/components/{section}/{name}": f"#/components/{section}/{service}.{name}"
        for section, entries in additions.items()
        for name, entry in entries.items()
        if name in components.get(section, {}) and not _same(components[section][name], entry)
    }
    for section, entries in additions.items():
        target = components.setdefault(section, {})
        for name, entry in entries.items():
            reference = clashing.get(f"#/components/{section}/{name}", f"#/components/{section}/{name}")
            target[reference.rpartition("/")[2]] = _with_references(entry, clashing)
    return clashing


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _with_references(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: renamed.get(item, item) if key == "$ref" and isinstance(item, str) else _with_references(item, renamed)
            for key, item in value.items()
        }
    return [_with_references(item, renamed) for item in value] if isinstance(value, list) else value
