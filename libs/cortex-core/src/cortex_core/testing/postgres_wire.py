"""As much of PostgreSQL's protocol as a test kit needs to make and drop databases, so that it needs no client library.

The simple query protocol over a unix socket that trusts whoever can open it
(https://www.postgresql.org/docs/current/protocol-flow.html). Refuses every other kind of authentication.
"""

import socket
import struct
from pathlib import Path
from typing import BinaryIO, Final

_VERSION_3: Final = 196_608
_PATIENCE: Final = 30.0  # seconds for an answer: to make a database copies files

Row = tuple[str | None, ...]


def simple_query(socket_file: Path, user: str, database: str, sql: str) -> list[Row]:
    """The rows of every statement in `sql`, as text. Raises RuntimeError with what the server said, OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(str(socket_file))
        with connection.makefile("rb") as replies:
            words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database))
            connection.sendall(_framed(b"", struct.pack("!i", _VERSION_3) + words + b"\0"))
            _until_ready(replies)
            connection.sendall(_framed(b"Q", sql.encode() + b"\0"))
            rows = _until_ready(replies)
            connection.sendall(_framed(b"X", b""))
    return rows


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _until_ready(replies: BinaryIO) -> list[Row]:
    rows: list[Row] = []
    refusal: str | None = None
    while True:
        head = replies.read(5)
        if len(head) < 5:
            raise ConnectionError(refusal or "the server closed the connection")
        kind, length = struct.unpack("!ci", head)
        body = replies.read(length - 4)
        if kind == b"E":
            refusal = _message(body)
        elif kind == b"R" and body != b"\0\0\0\0":
            raise RuntimeError("the server asks for a password on its unix socket")
        elif kind == b"D":
            rows.append(_row(body))
        elif kind == b"Z":
            break
    if refusal is not None:
        raise RuntimeError(refusal)
    return rows


def _row(body: bytes) -> Row:
    (count,) = struct.unpack_from("!h", body)
    values: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(0, length)
    return tuple(values)


def _message(body: bytes) -> str:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return f"{fields.get(b'C', '')}: {fields.get(b'M', '')}"
