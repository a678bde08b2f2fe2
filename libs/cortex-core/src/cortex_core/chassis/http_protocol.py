"""The server's side of HTTP/1.1: uvicorn's protocol class over httptools, with guards, and a seam to take over.

Owns what a connection may do before an application is asked. `dispatch`, `deliver` and `delivered` are the seam for a
subclass that answers some requests by itself (the gateway's express lane): all guards come before them.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """One connection. `self.scope`, `self.headers`, `self.url` are the request's whose head has just been read."""

    def on_headers_complete(self) -> None:
        self.dispatch()

    def on_body(self, body: bytes) -> None:
        self.deliver(body)

    def on_message_complete(self) -> None:
        self.delivered()

    def dispatch(self) -> None:
        """A request's head is complete and has passed the guards: by default the application is started with it."""
        super().on_headers_complete()

    def deliver(self, body: bytes) -> None:
        """The next part of the body of the request that was dispatched last."""
        super().on_body(body)

    def delivered(self) -> None:
        """That request has come to its end."""
        super().on_message_complete()


def protocol_class(base: type[HttpProtocol], **attributes: Any) -> type[HttpProtocol]:
    """`base` with what its instances need and uvicorn does not hand to them, as attributes of the class."""
    return type(base.__name__, (base,), attributes)
