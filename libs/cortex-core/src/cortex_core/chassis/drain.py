"""The end of a service, announced before it comes: from the first signal on it is not ready, and still answers.

Whoever sends work to a replica hears of its end a moment after that was decided (a balancer asks for readiness every
few seconds). A service that stopped listening at once would refuse what is sent meanwhile. So it goes on answering for
the drain's delay, each answer with `Connection: close`, so that nobody keeps a connection that is about to end; then it
listens no more, and ends what is in progress.
"""

from collections.abc import Callable

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send


class Drain:
    """Whether the end has begun. `on_begin` is called once, when it does, on the event loop."""

    def __init__(self) -> None:
        self.begun = False
        self._listeners: list[Callable[[], None]] = []

    def on_begin(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            for listener in self._listeners:
                listener()


class ClosingConnections:
    """Once the end has begun, every answer says that its connection ends with it."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def closing(message: Message) -> None:
            if self.drain.begun and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, closing)
