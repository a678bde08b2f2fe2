"""Whole answers, as most come: what their head becomes for a client was decided when it came before.

Owns what is remembered, by the head's bytes and the coding, and how much of it. What may change is asked each time: the
pressure, and what an immutable body has become. Decides nothing else: that is `encoding.Encoder`'s.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from cortex_core.asgi.compression import Codec, CompressionDetails, Load
from cortex_core.asgi.types import Headers
from cortex_gateway.dataplane.encoding import Encoded, Encoder, level_of, pairs_of
from cortex_gateway.ports import Head

_MOST: Final = 256  # of each kind
_LONGEST: Final = 2048  # bytes of fields

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Form:
    """What a head becomes where its body is compressed. `fields` are without a length. `pairs` are those of a body that
    may be there compressed already."""

    codec: Codec
    fields: bytes
    pairs: Headers | None


class Recurring:
    """Of answers that came whole: final ones, none of 206 and 304, none to HEAD, of `encoder.untouched_below` bytes or
    more, to who also takes them as they are."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._unasked: dict[tuple[int, bytes], Head] = {}
        self._forms: dict[tuple[int, bytes, str], _Form | None] = {}
        self._codings: dict[bytes, str | None] = {}

    def unasked(self, head: Head) -> Head:
        """`head` where the body passes as it is: it may have to say that others get it encoded."""
        key = head.status, head.fields
        told = self._unasked.get(key)
        if told is None:
            encoding = self._encoder.begin(None, head, b"GET")
            if encoding is None:
                told = head
            else:
                told = Head(head.status, fields := encoding.fields, fields.lower(), head.length)
            _remember(self._unasked, key, told, len(head.fields))
        return told

    def encoded(self, accept_encoding: bytes, head: Head, body: bytes) -> tuple[bytes, bytes] | None:
        """The head's fields, without a length, and the body as it goes out, which is reported. None: it passes as it
        is, as `unasked` says."""
        try:
            coding = self._codings[accept_encoding]
        except KeyError:
            coding = self._encoder.choice(accept_encoding).coding
            _remember(self._codings, accept_encoding, coding, len(accept_encoding))
        if coding is None:
            return None
        key = head.status, head.fields, coding
        try:
            form = self._forms[key]
        except KeyError:
            form = self._form(accept_encoding, head)
            _remember(self._forms, key, form, len(head.fields))
        if form is None or (load := self._encoder.pressure()) is Load.OFF:
            return None
        return form.fields, self._compressed(form, load, body)

    def _form(self, accept_encoding: bytes, head: Head) -> _Form | None:
        encoding = self._encoder.begin(accept_encoding, head, b"GET", kept=True)
        if not isinstance(encoding, Encoded):
            return None
        fields, store = encoding.fields, self._encoder.precompressed
        pairs = pairs_of(fields)
        return _Form(encoding.codec, fields, pairs if store is not None and store.applies({}, pairs) else None)

    def _compressed(self, form: _Form, load: Load, body: bytes) -> bytes:
        encoder, codec = self._encoder, form.codec
        level = level_of(codec, load)
        known = None if form.pairs is None else encoder.kept(form.pairs, codec, body)
        encoded = codec.whole(body, level) if known is None else known
        if encoder.on_response is not None:
            encoder.on_response(
                CompressionDetails(codec.name, level, load, len(body), len(encoded), known is not None, complete=True)
            )
        return encoded


def _remember(memory: dict[Key, Value], key: Key, value: Value, size: int) -> None:
    """Unless it is long. Where there are too many, those of now will come again: the others are of no use."""
    if size <= _LONGEST:
        if len(memory) >= _MOST:
            memory.clear()
        memory[key] = value
