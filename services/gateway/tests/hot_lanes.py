"""Both lanes over one store of kept answers, and what each says."""

import gzip
import zlib
from functools import partial
from typing import Any, Final

import brotli
import zstandard

from cortex_core.asgi import Compression, HeaderPolicy, SecurityHeaders
from cortex_core.asgi.compression import Load
from cortex_core.asgi.http_cache import CachePolicy, HttpCache
from cortex_core.testing import FakeClock
from cortex_core.testing.exchange import exchange
from cortex_gateway.adapters import KeptAnswers
from cortex_gateway.dataplane.encoding import Encoder
from cortex_gateway.dataplane.heads import Heads
from cortex_gateway.dataplane.hot import HotAnswers
from cortex_gateway.routes import ROUTES, RouteTable

TABLE: Final = RouteTable(ROUTES)
ORDER: Final = "/api/orders/ord_1"
DECODERS: Final[dict[str | None, Any]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


class Lanes:
    """Both ways to an answer, over one store. `upstream` is what the service would say: body and more headers."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self.clock = FakeClock()
        self.kept = KeptAnswers(TABLE, max_bytes, clock=self.clock)
        self.encoder = Encoder(threshold=100, pressure=lambda: Load.NORMAL)
        self.hits = 0
        assert self.kept.store is not None
        self.store = self.kept.store
        self.hot = self.hot_answers(on_hit=self._hit)
        self.asked = 0
        self.body = b"{}"
        self.more: list[tuple[bytes, bytes]] = [(b"etag", b'"v1"')]
        self.cache = HttpCache(
            self._service,
            store=self.store,
            policy=self.kept.policy,
            tags=self.kept.tags_of,
            changes=self.kept.changes_of,
            clock=self.clock,
        )
        self.application = SecurityHeaders(Compression(self.cache, threshold=100, pressure=lambda: Load.NORMAL))

    def hot_answers(self, policy: CachePolicy | None = None, **more: Any) -> HotAnswers:
        heads = Heads(HeaderPolicy(), secure=False)
        dress = partial(heads.kept, limited=False)
        return HotAnswers(self.store, policy or self.kept.policy, self.encoder, self.clock, dress=dress, **more)

    def _hit(self) -> None:
        self.hits += 1

    async def _service(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        head = [(b"content-type", b"application/json"), (b"cache-control", b"private, no-cache"), *self.more]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": self.body})

    async def ask(self, target: str, headers: dict[str, str], method: str = "GET") -> Any:
        """The application's answer."""
        path, _, query = target.partition("?")
        return await exchange(self.application, method, path, headers.items(), query_string=query.encode())

    def find(self, target: str, headers: dict[str, str], method: str = "GET", tenant: str = "public") -> Any:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        route = TABLE.find(method, target.partition("?")[0])
        return self.hot.find(route, target.encode(), tenant, raw, head=method == "HEAD")


def read(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    pairs = [field.partition(": ") for field in fields]
    assert len({name for name, _, _ in pairs}) == len(pairs), "a field that came twice"
    return int(line.split(" ")[1]), {name: value for name, _, value in pairs}, body


def said(answer: Any) -> tuple[int, dict[str, str], bytes]:
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers if name != b"date"}
    return answer.status, headers, answer.body


def alike(hot: tuple[int, dict[str, str], bytes], application: tuple[int, dict[str, str], bytes]) -> None:
    """The same but for the bytes of a coding, whose lengths may differ."""
    for _, headers, _ in (hot, application):
        if "content-encoding" in headers:
            headers.pop("content-length", None)
    assert hot[:2] == application[:2]
    decode = DECODERS[hot[1].get("content-encoding")]
    assert (decode(hot[2]) if hot[2] else b"") == (decode(application[2]) if application[2] else b"")
