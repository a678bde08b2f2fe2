"""A stored answer as ASGI messages: whole, a part of it, its head alone, or 304."""

from collections.abc import Awaitable
from typing import Final

from cortex_core.asgi.conditional import format_http_date, http_date, not_modified
from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import joined
from cortex_core.asgi.http_cache.ranges import part_of, range_applies
from cortex_core.asgi.http_cache.request import Request
from cortex_core.asgi.problems import Answered, problem
from cortex_core.asgi.types import Message, Send

_NOT_IN_304: Final = frozenset(  # what describes a body that is not sent (RFC 9110, 15.4.5)
    {b"content-length", b"content-encoding", b"content-language", b"content-type", b"content-range"}
)
_NOT_IN_416: Final = _NOT_IN_304 | {b"etag", b"last-modified"}  # the body is another: a problem


def unchanged_for(request: Request, status: int, headers: HeaderList, received: float | None) -> bool:
    """Whether the client holds this answer already. Without `Last-Modified`, a stored answer changed when it was made
    (RFC 9111, 4.3.2), and one that is not stored (`received` is None) at no time that is known (RFC 9110, 13.1.3)."""
    if not 200 <= status < 300:
        return False
    changed = http_date(joined(headers, b"last-modified"))
    if changed is None and received is not None:
        made = http_date(joined(headers, b"date"))
        changed = received if made is None else made
    return not_modified(
        if_none_match=request.text(b"if-none-match"),
        if_modified_since=request.text(b"if-modified-since"),
        etag=joined(headers, b"etag"),
        last_modified=changed,
    )


def not_modified_headers(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    """What a 304 repeats of the answer it stands for."""
    without = _NOT_IN_304 | ({b"last-modified"} if joined(headers, b"etag") is not None else set())
    return [(name, value) for name, value in headers if name not in without]


async def send_answer(request: Request, answer: Answer, age: float, extra: HeaderList, send: Send) -> int:
    """Sends what the request may have of `answer`; returns the status sent. `extra` are headers to be added."""
    headers = [(name, value) for name, value in answer.headers if name != b"age"]
    headers.append((b"age", str(int(age)).encode()))
    status, headers, body = _selected(request, answer, headers)
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *extra]})
    last: Message = {"type": "http.response.body", "body": b"" if request.method == "HEAD" else body}
    await send(last)
    return status


def _selected(
    request: Request, answer: Answer, headers: list[tuple[bytes, bytes]]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    if unchanged_for(request, answer.status, answer.headers, answer.received):
        return 304, not_modified_headers(headers), b""
    part = None
    if (
        request.method == "GET"
        and answer.status == 200
        and range_applies(request.text(b"if-range"), answer.text(b"etag"))
    ):
        part = part_of(request.text(b"range"), len(answer.body))
    if part is None:
        return answer.status, _sized(headers, answer), answer.body
    size = len(answer.body)
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    if not part.satisfiable:
        kept = [(name, value) for name, value in kept if name not in _NOT_IN_416]
        message = f"there are {size} bytes; the range begins behind them"
        error = Answered(416, "request.range-not-satisfiable", message, size=size)
        status, said, body = problem(error, request.path, {"Content-Range": f"bytes */{size}"})
        return status, [*kept, *said], body
    body = answer.body[part.first : part.last + 1]
    about = b"bytes %d-%d/%d" % (part.first, part.last, size)
    return 206, [*kept, (b"content-range", about), (b"content-length", b"%d" % len(body))], body


def _sized(headers: list[tuple[bytes, bytes]], answer: Answer) -> list[tuple[bytes, bytes]]:
    if answer.status == 204 or answer.text(b"content-length") is not None:
        return headers
    return [*headers, (b"content-length", b"%d" % len(answer.body))]


def dated(headers: HeaderList, now: float) -> list[tuple[bytes, bytes]]:
    """With a `Date` where there was none (RFC 9110, 6.6.1)."""
    return [*headers] if joined(headers, b"date") is not None else [*headers, (b"date", format_http_date(now))]


def undated(send: Send) -> Send:
    """For a server that writes the date itself."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            kept = [each for each in message.get("headers", ()) if each[0].lower() != b"date"]
            message = {**message, "headers": kept}
        return send(message)

    return sending
