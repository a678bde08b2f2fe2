"""Serves streams of JSON under the hub's server until its standard input ends. Prints its port.

`GET /{mebibytes}` is that many MiB in chunks of 64 KiB.
"""

import json
import random
import sys
import threading
from typing import Any

from cortex_core.asgi import Compression
from cortex_core.chassis import CortexHttpServer

CHUNK = 64 * 1024
_random = random.Random(4)


def orders(count: int) -> list[dict[str, Any]]:
    return [
        {
            "orderId": f"ord_{_random.getrandbits(128):032x}",
            "customerId": f"cus_{_random.getrandbits(32):08x}",
            "status": _random.choice(["created", "processing", "completed", "failed", "cancelled"]),
            "total": _random.randrange(100, 100_000),
            "currency": _random.choice(["EUR", "USD"]),
            "version": _random.randrange(1, 9),
            "createdAt": f"2026-11-{_random.randrange(10, 29)}T12:{_random.randrange(10, 60)}:00Z",
        }
        for _ in range(count)
    ]


# Longer than any window: a text that came again within it would not be compressed but referred to.
TEXT = json.dumps({"orders": orders(24_000)}).encode()
CHUNKS = [TEXT[at : at + CHUNK] for at in range(0, len(TEXT) - CHUNK, CHUNK)]


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    for number in range(int(scope["path"][1:]) * 16):
        await send({"type": "http.response.body", "body": CHUNKS[number % len(CHUNKS)], "more_body": True})
    await send({"type": "http.response.body"})


def main() -> None:
    server = CortexHttpServer(Compression(app), lifespan=False)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()

    def until_the_input_ends() -> None:
        sys.stdin.read()
        server.close()

    threading.Thread(target=until_the_input_ends, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
