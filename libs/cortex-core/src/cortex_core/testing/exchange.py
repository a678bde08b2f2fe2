"""An ASGI application asked without a server: one request in, all its messages out."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_Message = MutableMapping[str, Any]
_Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]


@dataclass
class Exchange:
    """What the application sent, and the scope it was given (with what it wrote there)."""

    scope: MutableMapping[str, Any]
    messages: list[_Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self._start["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self._start["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    def header(self, name: str) -> str | None:
        """The values of `name`, joined by `, ` as RFC 9110 allows; None where it is absent."""
        values = [value.decode("latin-1") for key, value in self.headers if key == name.lower().encode()]
        return ", ".join(values) if values else None

    @property
    def _start(self) -> _Message:
        return next(message for message in self.messages if "headers" in message)


async def exchange(
    app: _Application,
    method: str = "GET",
    path: str = "/",
    headers: Iterable[tuple[str, str | bytes]] = (),
    body: Sequence[bytes] = (),
    **scope: Any,
) -> Exchange:
    """Asks `app` once. `body` comes in as many messages as it has parts; then the client is gone. What `app` raises is
    raised here. `scope` adds to the scope, or replaces (`type="websocket"`)."""
    raw = [(name.lower().encode(), v if isinstance(v, bytes) else v.encode("latin-1")) for name, v in headers]
    asked = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        **scope,
    }
    seen = Exchange(asked)
    parts = list(body) or [b""]
    coming = iter(
        [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
    )

    async def receive() -> _Message:
        return next(coming, {"type": "http.disconnect"})

    async def send(message: _Message) -> None:
        seen.messages.append(message)

    await app(asked, receive, send)
    return seen
