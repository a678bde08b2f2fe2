"""HEAD: what GET would say, without the body (RFC 9110, section 9.3.2), for an application that only knows GET.

Owns the method in the scope while the application runs; whoever is outside (compression, caches, the server) sees HEAD
again whenever something reaches them. When the head is out, the answer is whole: the application is cancelled, so that
no body is made for nobody, least of all one without an end.
"""

import asyncio
from collections.abc import Callable

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send


class HeadFromGet:
    """`unless(scope)` says that the application serves this HEAD itself, cheaper than by beginning a GET.

    The application runs in a task of its own, and is cancelled as it would be for a client that left: what it does
    after its answer (a framework's background tasks) is not done for a HEAD. What it raises all the same is raised.
    """

    def __init__(self, app: ASGIApp, *, unless: Callable[[Scope], bool] | None = None) -> None:
        self.app = app
        self.unless = unless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or (self.unless is not None and self.unless(scope)):
            return await self.app(scope, receive, send)

        answered = False

        async def sending(message: Message) -> None:
            nonlocal answered
            if not answered:
                scope["method"] = "HEAD"
                await send(message)
                if message["type"] == "http.response.start":
                    answered = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    working.cancel()
                scope["method"] = "GET"
            await asyncio.sleep(0)  # where the cancellation comes, in whichever of its tasks the application sends

        scope["method"] = "GET"
        working = asyncio.ensure_future(self.app(scope, receive, sending))
        try:
            await asyncio.wait((working,))
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            raise
        finally:
            scope["method"] = "HEAD"
        if not (answered and working.cancelled()):
            working.result()
