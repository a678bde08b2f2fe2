"""What the gateway says of itself in the express lane: answers without a question."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from cortex_core.kernel import Clock
from cortex_core.kernel.clock import rfc3339
from cortex_gateway.domain import index

INDEX: Final = "/api"
ALIVE: Final = "/health/live"


@dataclass(frozen=True, slots=True)
class Local:
    """`body` makes the answer's JSON. `limited`: it counts against its caller's limit."""

    body: Callable[[], bytes]
    limited: bool = True


def own_routes(version: str, clock: Clock) -> dict[str, Local]:
    said = orjson.dumps(index(version))

    def alive() -> bytes:
        return b'{"status":"up","timestamp":"%s"}' % rfc3339(clock.now()).encode()

    return {INDEX: Local(lambda: said), ALIVE: Local(alive, limited=False)}
