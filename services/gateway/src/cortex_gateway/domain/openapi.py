"""One OpenAPI document out of several: the gateway's own and, under its prefix, what each service says of itself.

Owns which operations are in it: those that the route table reaches, and no others. What each of them can be answered
with is in `operations.py`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from cortex_gateway.domain.operations import (
    HEADERS,
    Document,
    Forwarded,
    forwarded_operation,
    own_operation,
    socket_operation,
)

Found = Callable[[str, str, str], Forwarded | None]  # method, the service's path, the service

_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def merge(
    own: Document,
    others: Mapping[str, Document | None],
    *,
    prefix: str,
    found: Found,
    sockets: Iterable[Forwarded] = (),
    stale: Iterable[str] = (),
    anonymous: bool = True,
) -> Document:
    """`own` and every operation of `others` that is `found` in the table. Who could not be asked (None) is named in
    `x-cortex-unavailable`, whose document is from before (`stale`) in `x-cortex-stale`. Components of one name and
    different content get their service's name in front. `anonymous`: nobody has to say who he is."""
    merged = deepcopy(own)
    merged["paths"] = {
        path: {
            name: own_operation(path, operation) if name in _METHODS else operation for name, operation in item.items()
        }
        for path, item in merged.get("paths", {}).items()
    }
    components = merged.setdefault("components", {})
    components["headers"] = {**components.get("headers", {}), **deepcopy(dict(HEADERS))}
    for service, document in others.items():
        if document is not None:
            renamed = _add_components(components, service, document.get("components", {}))
            for path, item in document.get("paths", {}).items():
                if operations := _reached(service, path, item, found, anonymous=anonymous):
                    merged["paths"][prefix + path] = _with_references(operations, renamed)
    for socket in sockets:
        merged["paths"][socket.path] = {"get": socket_operation(socket, anonymous=anonymous)}
    merged["x-cortex-unavailable"] = [service for service, document in others.items() if document is None]
    merged["x-cortex-stale"] = list(stale)
    return merged


def _reached(service: str, path: str, item: Document, found: Found, *, anonymous: bool) -> Document:
    """The path's item, with those of its operations that are in the table; empty where none is."""
    operations: Document = {}
    for name, operation in item.items():
        if name in _METHODS and (route := found(name.upper(), path, service)) is not None:
            operations[name] = forwarded_operation(route, operation, name, anonymous=anonymous)
    if not operations:
        return {}
    return {**{name: each for name, each in item.items() if name not in _METHODS}, **operations}


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
