"""Compression: what a client can decode leaves in fewer bytes, as the application makes it.

Owns the parts list; `negotiation.py` knows the client, `rules.py` the response, `response.py` carries it out. Promises
that no body ends well that the application did not end (test_failures.py), that when the application waits its client
has been sent all (test_streams.py), that a reader who does not read costs one part under way and 64 KiB held
(test_turns.py), and that no chunk of more than 128 KiB is compressed on the loop.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.compression.codecs import Codec, installed_codecs
from cortex_core.asgi.compression.deciding import Worth
from cortex_core.asgi.compression.encoding import CompressionDetails, Terms
from cortex_core.asgi.compression.negotiation import UNASKED, Choice, negotiate
from cortex_core.asgi.compression.precompressed import Precompressed
from cortex_core.asgi.compression.pressure import Load, Pressure
from cortex_core.asgi.compression.response import Outgoing
from cortex_core.asgi.compression.rules import compressible, is_event_stream
from cortex_core.asgi.problems import Answered, refuse
from cortex_core.asgi.types import ASGIApp, Receive, Scope, Send

_UNSEEN: Final = ("http.response.pathsend", "http.response.zerocopysend")  # bytes that would not pass through here


class NotAcceptable(Answered):
    """406: the client refuses every coding that there is, and none."""

    def __init__(self) -> None:
        super().__init__(406, "response.not-acceptable", "Accept-Encoding refuses every coding that there is, and none")
        self.response_headers = {"Vary": "Accept-Encoding"}


class Compression:
    """The ASGI middleware. `codecs` in the order in which the server likes them, where the client has no preference.

    A response is encoded when the client accepts a coding, `content_types(its Content-Type)` is true and its body is
    not known to be shorter than `threshold` bytes (known: by its Content-Length, or because it came in one message).
    `events=True` takes `text/event-stream` in, one flush an event. A client that refuses identity gets any body
    encoded, or 406 before the application is called where it takes nothing we have (RFC 9110 section 15.5.7).

    Chunks that the application sends without waiting for anything in between are flushed and sent as one, at the latest
    in the loop's next turn and at 64 KiB. What the server raises then is raised by the application's next `send`; what
    is held when the application fails is not sent.

    Chunks of more than `off_loop` bytes are compressed in threads of our own, slice by slice. `pressure()` gives the
    load for each new response: the codec's reduced level, or none at all. `precompressed` is where immutable bodies are
    kept. `on_response` gets one CompressionDetails an encoded response, whatever its end.

    Raises ValueError for no codecs at all, and for a `threshold` or `off_loop` that is no whole number from 0.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        codecs: Sequence[Codec] | None = None,
        threshold: int = 1024,
        content_types: Callable[[str], bool] = compressible,
        events: bool = False,
        off_loop: int = 128 * 1024,
        pressure: Callable[[], Load] | None = None,
        precompressed: Precompressed | None = None,
        on_response: Callable[[CompressionDetails], None] | None = None,
    ) -> None:
        chosen = tuple(installed_codecs() if codecs is None else codecs)
        if not chosen:
            raise ValueError("codecs must name one at least")
        check_whole("threshold", threshold, least=0, unit="bytes")
        check_whole("off_loop", off_loop, least=0, unit="bytes")
        self.app = app
        self._codecs = {codec.name: codec for codec in chosen}
        self._order = tuple(self._codecs)
        self._terms = Terms(
            worth=Worth(
                threshold, (lambda media: content_types(media) or is_event_stream(media)) if events else content_types
            ),
            off_loop=off_loop,
            pressure=pressure or Pressure(),
            precompressed=precompressed,
            on_response=on_response,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        choice = self._choice(scope)
        codec = self._codecs.get(choice.coding) if choice.coding else None
        if codec is None and not choice.identity:
            return await refuse(NotAcceptable(), scope, receive, send)
        extensions = scope.get("extensions")
        if codec is not None and extensions:
            scope["extensions"] = {name: value for name, value in extensions.items() if name not in _UNSEEN}
        outgoing = Outgoing(self._terms, scope, codec, send, identity=choice.identity)
        try:
            await self.app(scope, receive, outgoing.send)
            await outgoing.ended()
        finally:
            outgoing.close()

    def _choice(self, scope: Scope) -> Choice:
        values = [value for name, value in scope["headers"] if name == b"accept-encoding"]
        if not values:
            return UNASKED
        return negotiate(b",".join(values).decode("latin-1"), self._order)
