"""Questions to a process: is it ready, does Redis answer. A hand-written GET, so that asking imports no HTTP client."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """`ready`, and where not, why, in a few words."""

    ready: bool
    reason: str = ""


async def http_ready(url: str, *, timeout: float = 1.0) -> Answer:
    """What `GET {url}/health/ready` says within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            status, body = await _get(url, "/health/ready")
    except TimeoutError:
        return Answer(ready=False, reason=f"no answer within {timeout:g} s")
    except ConnectionRefusedError:
        return Answer(ready=False, reason="does not listen yet")
    except (OSError, ValueError, EOFError) as error:
        return Answer(ready=False, reason=f"no sound answer ({type(error).__name__})")
    return Answer(ready=True) if status == 200 else Answer(ready=False, reason=_reason(status, body))


async def redis_ready(url: str, *, timeout: float = 1.0) -> Answer:
    """Whether the server at `unix://…` or `redis://host:port` says PONG."""
    place = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            if place.scheme == "unix":
                reader, writer = await asyncio.open_unix_connection(unquote(place.path))
            else:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(b"PING\r\n")
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return Answer(ready=False, reason=f"does not answer ({type(error).__name__})")
    return (
        Answer(ready=True)
        if line == b"+PONG\r\n"
        else Answer(ready=False, reason=line.decode("utf-8", "replace").strip())
    )


async def _get(url: str, path: str) -> tuple[int, bytes]:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    _, status, *_ = head.split(None, 2)  # ValueError where it is no status line
    return int(status), body


def _reason(status: int, body: bytes) -> str:
    start, end = body.find(b"{"), body.rfind(b"}")  # whether or not the body came in chunks
    try:
        report: Any = json.loads(body[start : end + 1])
        checks = report["checks"]
        down = [
            f"{name}: {check.get('error', check['status'])}"
            for name, check in checks.items()
            if check["status"] != "up"
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        down = []
    return "; ".join(down) or f"answers {status}"
