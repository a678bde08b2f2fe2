"""An application may send the same message objects each time: no middleware changes them."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from cortex_core.asgi import (
    AccessLog,
    BodyLimit,
    Compression,
    Decompression,
    HeadFromGet,
    KnownTenant,
    Load,
    Problems,
    RateLimit,
    RequestContext,
    Rule,
    SecurityHeaders,
    by_client,
)
from cortex_core.ratelimit import FixedWindow, RateLimiter
from cortex_core.testing.exchange import exchange

LONG = b'{"status":"completed"}' * 100
FIELDS = [(b"content-type", b"application/json"), (b"etag", b'"1"'), (b"server", b"x"), (b"ratelimit", b"theirs")]


def compression(app: Any) -> Any:
    return Compression(app, pressure=lambda: Load.NORMAL)


MIDDLEWARE: list[Callable[[Any], Any]] = [
    lambda app: AccessLog(app, lambda details: None),
    lambda app: BodyLimit(app, default=10),
    compression,
    lambda app: Compression(app, pressure=lambda: Load.OFF),
    lambda app: Decompression(app, limit=10),
    HeadFromGet,
    KnownTenant,
    Problems,
    lambda app: RateLimit(app, RateLimiter(), [Rule([(FixedWindow(9, 60), by_client())])]),
    RequestContext,
    SecurityHeaders,
    lambda app: SecurityHeaders(app, override=True),
]


@pytest.mark.parametrize("put_around", MIDDLEWARE)
@pytest.mark.parametrize("status", [200, 206, 304])
@pytest.mark.parametrize("parts", [[LONG], [LONG, LONG], [b""]])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ["gzip", "identity", "br;q=0"])
async def test_a_constant_message_does_not_grow(
    put_around: Callable[[Any], Any], status: int, parts: list[bytes], method: str, accept: str
) -> None:
    bodies = [{"body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)]
    messages: list[Any] = [
        {"type": "http.response.start", "status": status, "headers": list(FIELDS)},
        *({"type": "http.response.body", **body} for body in bodies),
    ]
    before = deepcopy(messages)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    around = put_around(app)
    for _ in range(2):
        await exchange(around, method, headers=[("Accept-Encoding", accept), ("If-None-Match", "*")])

    assert messages == before
