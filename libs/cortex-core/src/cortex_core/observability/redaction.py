"""What is secret, and what stands in its place. One rule for log lines, spans and health reports."""

import dataclasses
import re
from collections.abc import Mapping, Set
from enum import Enum
from functools import lru_cache
from typing import Any, Final

REDACTED: Final = "[redacted]"

_SECRET_NAMES: Final = re.compile(
    r"passw|pwd|secret|token|authori[sz]ation|cookie|credential|api[-_]?key|private[-_]?key", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"(://[^/\s:@]*):[^/\s]+@")  # user:password@
_BEARER: Final = re.compile(r"\b([Bb]earer)\s+[^\s,;\"']+")
_BASIC: Final = re.compile(r"\b([Bb]asic)\s+[A-Za-z0-9+/=]{8,}")
_API_KEY: Final = re.compile(r"ck_[0-9a-f]{32}_[0-9A-Za-z]+")
# A static token; not the end of a longer word (`cust_…`, `test_…`), unless an escape in an address stands before it.
_STATIC_TOKEN: Final = re.compile(r"(?:(?<![a-z])|(?<=%[0-9a-f][0-9a-f]))st_[A-Za-z0-9]{32,}")
_MAX_DEPTH: Final = 8  # what is nested deeper (or in a circle) ends in an ellipsis


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a value under this name must not be shown: `password`, `paymentToken`, `Set-Cookie` …"""
    return _SECRET_NAMES.search(name) is not None


def scrub(text: str) -> str:
    """`text` without API keys, static tokens, and the credentials that addresses and Authorization headers carry."""
    if "://" in text:  # looking for a marker first: nearly every text has none, and this runs for each of them
        text = _ADDRESS.sub(rf"\1:{REDACTED}@", text)
    if "earer" in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    if "asic" in text:
        text = _BASIC.sub(rf"\1 {REDACTED}", text)
    if "ck_" in text:
        text = _API_KEY.sub(REDACTED, text)
    if "st_" in text:
        text = _STATIC_TOKEN.sub(REDACTED, text)
    return text


def redact(value: Any, depth: int = 0) -> Any:
    """`value` as plain JSON-able data with every secret replaced. Objects nobody described show their class alone,
    because a `repr` tells everything it knows."""
    match value:
        case None | bool() | float():
            shown: Any = value
        case Enum():
            shown = redact(value.value, depth)
        case str():
            shown = scrub(value)
        case int():
            shown = value if -(1 << 63) <= value < 1 << 63 else str(value)  # orjson, as most readers, stops at 64 bits
        case _ if depth >= _MAX_DEPTH:
            shown = "…"
        case Mapping():
            shown = redact_fields({str(name): item for name, item in value.items()}, depth + 1)
        case list() | tuple() | Set():
            shown = [redact(item, depth + 1) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
            shown = redact_fields(fields, depth + 1)
        case _:
            shown = _describe(value)
    return shown


def redact_fields(fields: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    shown = {}
    for name, item in fields.items():
        if is_secret(name):
            shown[name] = REDACTED
        elif type(item) is str:  # the usual case, straight through
            shown[name] = scrub(item)
        else:
            shown[name] = redact(item, depth)
    return shown


def _describe(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {scrub(str(value))}"
    plain = type(value).__module__ in {"datetime", "uuid", "pathlib", "decimal", "yarl", "ipaddress"}
    return scrub(str(value)) if plain else f"<{type(value).__qualname__}>"
