"""Answers to HTTP/1.0, which knows no chunks: where nobody knows the length, the connection's end is the body's end.

uvicorn's would send `Transfer-Encoding: chunked`, which RFC 9112, section 6.1, forbids.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class OldCycle(RequestResponseCycle):
    """A request of HTTP/1.0 and its answer."""

    _until_close = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            if b"content-length" not in names and b"transfer-encoding" not in names:
                self._until_close = True
                self.chunked_encoding = False
        elif self._until_close and self.scope["method"] != "HEAD":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
