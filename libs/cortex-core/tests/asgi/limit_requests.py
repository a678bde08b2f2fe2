"""What the tests of RateLimit share: an application behind it, and requests to that."""

from collections.abc import Sequence
from typing import Any, Final

from cortex_core.asgi import RateLimit, Rule, by_client
from cortex_core.ratelimit import RateLimiter, SlidingWindow
from cortex_core.testing import FakeClock

NOW: Final = 1_800_000_000.25
PER_CLIENT: Final = SlidingWindow(3, 60)
RULES: Final = [Rule([(PER_CLIENT, by_client())])]

Answer = tuple[int, dict[str, str], bytes]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1"), (b"RateLimit", b"theirs")]})
    await send({"type": "http.response.body", "body": b"hello"})


def request(path: str = "/", method: str = "GET", peer: str = "192.0.2.1", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "client": (peer, 4711), "headers": [], **more}


async def ask(app: Any, scope: dict[str, Any]) -> Answer:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await app(scope, receive, send)
    start, *bodies = messages
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"]), "no header comes twice"
    return start["status"], headers, b"".join(each.get("body", b"") for each in bodies)


async def statuses(app: Any, *scopes: dict[str, Any]) -> list[int]:
    return [(await ask(app, scope))[0] for scope in scopes]


def limited(clock: FakeClock, rules: Sequence[Rule] = RULES, **settings: Any) -> RateLimit:
    return RateLimit(hello, RateLimiter(clock=clock), rules, now=lambda: NOW, **settings)
