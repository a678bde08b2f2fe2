"""Hot answers: what the application's cache would answer as a fresh hit, answered from bytes that are ready.

A view of the cache's store and no cache of its own: an answer counts for as long as the store holds that very answer,
so what is invalidated there is gone here at the same moment, and it is fresh for as long as the cache's rules say.
Owns nothing but the bytes. Refuses whatever takes a second look (ranges, conditions other than If-None-Match, a
client's own directives, answers that vary): None, and the application answers.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from cortex_core.asgi.conditional import not_modified
from cortex_core.asgi.http_cache import Answer, CachePolicy, MemoryCacheStore
from cortex_core.asgi.http_cache.directives import NONE
from cortex_core.asgi.http_cache.fields import joined
from cortex_core.asgi.http_cache.freshness import current_age, lifetime
from cortex_core.asgi.http_cache.request import LONGEST_URL, key_of
from cortex_core.asgi.http_cache.reuse import Use, judge
from cortex_core.asgi.http_cache.serving import not_modified_headers
from cortex_core.kernel import Clock
from cortex_gateway.dataplane.encoding import Encoded, Encoder, lines_of
from cortex_gateway.dataplane.heads import STATUS_LINES
from cortex_gateway.ports import Head
from cortex_gateway.routes import Route

Asked = tuple[bytes | None, bytes | None, bool]  # Accept-Encoding, If-None-Match, whether it is HEAD

NOT_FOR_US: Final = frozenset(
    {
        *(b"cache-control", b"pragma", b"range", b"if-range", b"if-match", b"if-modified-since"),
        *(b"if-unmodified-since", b"transfer-encoding", b"upgrade", b"expect"),
    }
)
_LOOKED_AT: Final = NOT_FOR_US | {b"accept-encoding", b"if-none-match", b"content-length"}
_LONGEST_FIELD: Final = 256  # bytes: nobody may fill the memory with what is remembered by a field
_LONGEST_CODED: Final = 128 << 10  # bytes: a longer body is compressed off the loop, in the application
_PIECES: Final = 16  # ways to say one answer that are kept ready
_OVERHEAD: Final = 1024  # bytes, about: of an entry without its heads and bodies


class HotAnswers:
    """`store` and `policy` are the cache's; `policy` names an origin, so that `Host` is no part of a key. `max_bytes`
    is of everything kept ready, about; the least recently made ready goes first. `on_hit` is called with each find.
    `dress` makes of an answer's header lines what a client gets to see."""

    def __init__(
        self,
        store: MemoryCacheStore,
        policy: CachePolicy,
        encoder: Encoder,
        clock: Clock,
        *,
        max_bytes: int = 16 << 20,
        on_hit: Callable[[], None] | None = None,
        dress: Callable[[bytes], bytes] = lambda fields: fields,
    ) -> None:
        if policy.origin is None:
            raise ValueError("hot answers need a policy that names an origin")
        self._store = store
        self._origin = policy.origin
        self._name = policy.name.encode()
        self._status = b"\r\ncache-status: %b; hit; ttl=" % self._name
        self._encoder = encoder
        self._clock = clock
        self._max_bytes = max_bytes
        self._on_hit = on_hit
        self._dress = dress
        self._entries: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes kept ready, about."""
        return self._size

    def __len__(self) -> int:
        return len(self._entries)

    def find(
        self,
        route: Route,
        target: bytes,
        tenant: str,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        head: bool = False,
        collapsed: bool = False,
    ) -> "HotAnswer | None":
        """The answer to a GET (or HEAD) of `target`, by a caller of `tenant` who may have it; None: ask the
        application. Names of `headers` are in lower case. `collapsed`: it was fetched for another, who asked first."""
        if route.caching is None:
            return None
        accept = held = None
        for name, value in headers:
            if name in _LOOKED_AT:
                if name == b"accept-encoding" and accept is None:
                    accept = value
                elif name == b"if-none-match" and held is None:
                    held = value
                elif name != b"content-length" or value != b"0":
                    return None
        entry = self._entries.get((tenant, target))
        if entry is None or not self._store.holds(entry.key, entry.answer):
            entry = self._made_ready(tenant, target)
            if entry is None:
                return None
        age = entry.age(self._clock.now().timestamp())
        asked = (accept, held, head)
        piece = None if age >= entry.lasts else entry.pieces.get(asked) or self._piece(entry, asked)
        if piece is None:
            return None
        if collapsed:
            about = b"%b; fwd=uri-miss; fwd-status=%d; stored; collapsed" % (self._name, entry.answer.status)
            return HotAnswer(entry, piece, b"\r\ncache-status: %b\r\n" % about, age, collapsed=True)
        if self._on_hit is not None:
            self._on_hit()
        return HotAnswer(entry, piece, self._status, age)

    def _made_ready(self, tenant: str, target: bytes) -> "_Entry | None":
        self._drop((tenant, target))
        path, _, query = target.decode("latin-1").partition("?")
        if not path.startswith("/") or "#" in query or len(path) + len(query) > LONGEST_URL:
            return None
        key = key_of(tenant, self._origin, path, query)
        found = self._store.find(key, ())
        answer = found.answer
        if answer is None or found.vary:
            return None
        verdict = judge(answer, NONE, self._clock.now().timestamp())
        if verdict.use is not Use.SERVE or not verdict.fresh:
            return None
        entry = self._entries[tenant, target] = _Entry(key, answer)
        self._grow(_OVERHEAD + len(target) + entry.size)
        return self._entries.get((tenant, target))

    def _piece(self, entry: "_Entry", asked: Asked) -> "_Piece | None":
        accept, held, _ = asked
        if len(accept or b"") > _LONGEST_FIELD or len(held or b"") > _LONGEST_FIELD:
            return None
        if len(entry.pieces) >= _PIECES:
            self._grow(-sum(piece.size for piece in entry.pieces.values()))
            entry.forget()
        piece = entry.say(self._encoder, asked, self._dress)
        if piece is not None:
            entry.pieces[asked] = piece
            self._grow(piece.size)
        return piece

    def _drop(self, place: tuple[str, bytes]) -> None:
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._size -= _OVERHEAD + len(place[1]) + entry.size

    def _grow(self, size: int) -> None:
        self._size += size
        while self._size > self._max_bytes and self._entries:
            self._drop(next(iter(self._entries)))


class HotAnswer:
    """One answer, for one request. `length` is its body's, in bytes, as it will be sent."""

    __slots__ = ("_age", "_collapsed", "_entry", "_piece", "_status", "length", "status")

    def __init__(
        self, entry: "_Entry", piece: "_Piece", cache_status: bytes, age: float, *, collapsed: bool = False
    ) -> None:
        self.status = piece.status
        self.length = len(piece.body)
        self._entry = entry
        self._piece = piece
        self._status = cache_status
        self._age = age
        self._collapsed = collapsed

    @property
    def route(self) -> str:
        """The template that it came from, as the access log knows it."""
        return self._entry.answer.route

    def write(self, fields: bytes) -> bytes:
        """All of it. `fields` are lines that the connection adds, each ended by CRLF, `Date` among them."""
        entry, piece, age = self._entry, self._piece, self._age
        return b"".join(
            (
                piece.head,
                b"age: %d" % age,
                self._status,
                b"" if self._collapsed else b"%d\r\n" % (entry.lasts - age),
                fields,
                b"\r\n",
                piece.body,
            )
        )


class _Piece:
    """One way to say an answer: to one `Accept-Encoding`, `If-None-Match` and method."""

    __slots__ = ("body", "head", "size", "status")

    def __init__(self, status: int, fields: bytes, body: bytes, size: int) -> None:
        self.status = status
        self.head = STATUS_LINES[status] + fields
        self.body = body
        self.size = size + len(self.head)


class _Entry:
    """A stored answer, and the ways to say it that somebody asked for."""

    __slots__ = ("_age", "_codings", "_received", "answer", "fields", "headers", "key", "lasts", "pieces")

    def __init__(self, key: str, answer: Answer) -> None:
        self.key = key
        self.answer = answer
        self.lasts = lifetime(answer)
        self.pieces: dict[Asked, _Piece] = {}
        self.headers = [pair for pair in answer.headers if pair[0] not in {b"age", b"date"}]
        if answer.status != 204 and answer.text(b"content-length") is None:
            self.headers.append((b"content-length", b"%d" % len(answer.body)))
        self.fields = lines_of(self.headers)
        self._codings: dict[str, bytes] = {}
        self._received = answer.received
        self._age = current_age(answer, answer.received)

    @property
    def size(self) -> int:
        return len(self.answer.body) + len(self.fields) + sum(piece.size for piece in self.pieces.values())

    def age(self, now: float) -> float:
        """`freshness.current_age`, for an answer whose own part in it is known."""
        return self._age + max(0.0, now - self._received)

    def forget(self) -> None:
        self.pieces.clear()
        self._codings.clear()

    def say(self, encoder: Encoder, asked: Asked, dress: Callable[[bytes], bytes]) -> _Piece | None:
        """None: not from here."""
        accept, held, bodiless = asked
        choice = encoder.choice(accept)
        if choice.coding is None and not choice.identity:
            return None  # 406
        unchanged = 200 <= self.answer.status < 300 and not_modified(
            if_none_match=None if held is None else held.decode("latin-1"),
            if_modified_since=None,
            etag=joined(self.answer.headers, b"etag"),
            last_modified=None,
        )
        if unchanged:
            status, fields, body = 304, lines_of(not_modified_headers(self.headers)), b""
        else:
            status, fields, body = self.answer.status, self.fields, self.answer.body
        method = b"HEAD" if bodiless else b"GET"
        head = Head(status, fields, fields.lower(), 0 if unchanged or bodiless else len(body))
        encoding = encoder.begin(accept, head, method, held=held or b"", kept=True)
        if encoding is None:
            return _Piece(status, dress(fields), b"" if bodiless else body, 0)
        if not isinstance(encoding, Encoded) or bodiless:
            encoding.close()
            return _Piece(status, dress(encoding.fields), b"" if bodiless else body, 0)
        if len(body) > _LONGEST_CODED:
            return None
        coded = self._codings.get(encoding.coding)
        if coded is None:
            coded = self._codings[encoding.coding] = encoding.whole(body)
        else:
            encoding.sized(len(coded))
        encoding.close()
        return _Piece(status, dress(encoding.fields), coded, len(coded))
