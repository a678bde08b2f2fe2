"""In Loki's place: takes OTLP over HTTP, keeps what came, and can be away."""

import gzip
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SAID = re.compile(rb'"message":"([\w-]+)"')


class Lines:
    """How often each message has arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()

    def take(self, body: bytes) -> None:
        with self._lock:
            self._seen.update(each.decode() for each in _SAID.findall(body))

    def seen(self) -> Counter[str]:
        with self._lock:
            return self._seen.copy()


@contextmanager
def loki(port: int, lines: Lines) -> Iterator[None]:
    """There until the block ends; nobody listens before and after."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            lines.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            right = self.path == "/otlp/v1/logs"
            self.send_response(200 if right else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The test's output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Taker)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
