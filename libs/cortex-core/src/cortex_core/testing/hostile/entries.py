"""What an entry of the tables is."""

from dataclasses import dataclass
from typing import Final

SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
BEFORE: Final = b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Hostile:
    """`data` is answered by `status`, under `code`, and the connection ends. `before`: how many requests stand before
    the hostile one in `data`, each answered 200. `group` is what the closing table counts by."""

    group: str
    name: str
    data: bytes
    status: int
    code: str
    before: int = 0
    endless: bool = False

    @property
    def wire(self) -> bytes:
        """What to send: behind it stands what must not be seen."""
        return self.data if self.endless else self.data + SMUGGLED

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


def get(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a") -> bytes:
    """A head of its own lines and, unless None, a Host."""
    return b"\r\n".join([line, *([host] if host is not None else []), *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"", line: bytes = b"POST / HTTP/1.1") -> bytes:
    return get(*lines, line=line) + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)
