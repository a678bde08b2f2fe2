"""The OpenAPI document: what a route may answer is written down, errors as problem+json and nothing else."""

import re
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cortex_core.asgi.problems import phrase_of
from cortex_core.chassis.problems import MEDIA_TYPE, STATUS, Problem
from cortex_core.kernel.errors import CortexError

Responses = dict[int | str, dict[str, Any]]

SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer (`at+jwt`, RFC 9068), or an API key",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key (`ck_…`)"},
}
_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}
_CODE: Final = re.compile(r"`[^`]+`")
_ANY: Final = {400: ("request.invalid",), 422: ("request.invalid",), 500: ("internal",)}
_WITH_BODY: Final = {
    400: ("request.malformed-json", "request.bad-encoding"),
    413: ("request.too-large",),
    415: ("request.unsupported-encoding",),
    422: ("request.invalid",),
    500: ("internal",),
}


def problems(*errors: type[CortexError]) -> Responses:
    """`responses=` of a route that may raise these: one entry a status, listing the codes."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(STATUS[error.kind], []).append(error.code)
    return {status: _response(status, codes) for status, codes in sorted(by_status.items())}


def both(one: Responses, other: Responses) -> Responses:
    """`one`, and what `other` says of other statuses; of the same, its codes behind those of `one`."""
    merged = {**other, **one}
    for status in one.keys() & other.keys():
        known, more = one[status].get("description", ""), other[status]["description"]
        codes = [code for code in _CODE.findall(more) if code not in known]
        merged[status] = {**one[status], "description": known + "".join(f", {code}" for code in codes)}
    return merged


def _response(status: int, codes: Iterable[str]) -> dict[str, Any]:
    listed = ", ".join(f"`{code}`" for code in dict.fromkeys(codes))
    return {"description": f"{phrase_of(status)}: {listed}", "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The app's document, made once: FastAPI's own, with its error models replaced by ours."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        for frameworks in ("HTTPValidationError", "ValidationError"):
            schemas.pop(frameworks, None)
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for path in schema["paths"].values():
            for operation in path.values():
                _complete(operation)
        if any("security" in operation for path in schema["paths"].values() for operation in path.values()):
            schema["components"]["securitySchemes"] = SECURITY_SCHEMES
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    """The errors any route can end in, unless it names its own. A route without input cannot be given a wrong one."""
    responses = operation["responses"]
    if MEDIA_TYPE not in responses.get("422", {}).get("content", {}):
        responses.pop("422", None)  # FastAPI's own, of another shape
    has_body, has_input = "requestBody" in operation, bool(operation.get("parameters"))
    general = _WITH_BODY if has_body else _ANY if has_input else {500: ("internal",)}
    for status, codes in general.items():
        known = responses.setdefault(str(status), _response(status, codes))
        known["description"] += "".join(f", `{code}`" for code in codes if f"`{code}`" not in known["description"])
