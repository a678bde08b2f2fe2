"""An answer as bytes, for stores outside of this process: four bytes of length, the particulars as JSON, the body."""

import json
from typing import Any, Final

from cortex_core.asgi.http_cache.answer import Answer
from cortex_core.asgi.http_cache.fields import Fields

_VERSION: Final = 2


def encode(answer: Answer) -> bytes:
    """What `decode` takes."""
    about = {
        "v": _VERSION,
        "status": answer.status,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers],
        "times": [answer.requested, answer.received, answer.assigned],
        "vary": answer.vary,
        "variant": answer.variant,
        "tags": answer.tags,
        "route": answer.route,
        "surrogate": answer.surrogate,
        "size": len(answer.body),
    }
    head = json.dumps(about, separators=(",", ":")).encode()
    return len(head).to_bytes(4) + head + answer.body


def decode(value: bytes) -> Answer | None:
    """None for what is no answer of this version, or not a whole one."""
    length = int.from_bytes(value[:4])
    try:
        about = json.loads(value[4 : 4 + length])
        return _answer(about, value[4 + length :]) if about["v"] == _VERSION else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _answer(about: dict[str, Any], body: bytes) -> Answer | None:
    if about["size"] != len(body):
        return None
    requested, received, assigned = map(float, about["times"])
    return Answer(
        status=int(about["status"]),
        headers=Fields((str(name).encode("latin-1"), str(value).encode("latin-1")) for name, value in about["headers"]),
        body=body,
        requested=requested,
        received=received,
        assigned=assigned,
        vary=tuple(map(str, about["vary"])),
        variant=str(about["variant"]),
        tags=tuple(map(str, about["tags"])),
        route=str(about["route"]),
        surrogate=about["surrogate"] is True,
    )
