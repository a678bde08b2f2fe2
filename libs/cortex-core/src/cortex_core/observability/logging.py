"""Log lines: one JSON object a line, with the trace, the tenant and the request they belong to.

Owns the format and its destination. Refuses to show secrets (`redaction`): values by their names, credentials inside
text by their shape, an exception's frames without their locals. A line that cannot be written is counted, never raised:
the work goes on. Python's own `logging` (uvicorn, asyncio, any library) is routed into the same lines; level `debug` is
for our own code alone, because what a driver tells there is every statement with its parameters.
"""

import asyncio
import atexit
import json
import logging
import sys
import time
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from threading import get_ident
from typing import Any, Final, Self, TextIO

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer

from cortex_core.kernel.clock import rfc3339
from cortex_core.kernel.context import current
from cortex_core.observability.redaction import redact_fields

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_MOST_WAITING: Final = 512  # lines of one turn of the loop; then they are written at once
_CHATTY: Final = ("alembic", "aiosqlite", "sqlalchemy")  # they show what they are given at `info` too
_HEAD: Final = frozenset(
    {
        "time",
        "level",
        "event",
        "service",
        "logger",
        "trace_id",
        "span_id",
        "tenant",
        "request_id",
        "principal",
        "principal_key",
    }
)


class _Output:
    """Where lines go. One a process; `configure_logging` sets it. `lost` counts lines that could not be written."""

    def __init__(self) -> None:
        self.service: str | None = None
        self.level = _LEVELS["info"]
        self.stream: TextIO | None = None  # None: whatever sys.stdout is at that moment
        self.lost = 0
        self._waiting: deque[str] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # on which what waits is written soon
        self._thread = 0  # that loop's

    def write_soon(self, line: str) -> None:
        """At the end of this turn of the loop, with all others of this turn in one piece; at once outside of one."""
        self._waiting.append(line)
        loop = self._loop
        if loop is None or self._thread != get_ident() or not loop.is_running():
            self._schedule()
        elif len(self._waiting) >= _MOST_WAITING:
            self.flush()

    def _schedule(self) -> None:
        """Only where nothing is scheduled yet: to ask for the running loop is a call of the system."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.flush()
        self._loop, self._thread = loop, get_ident()
        loop.call_soon(self.flush)
        return None

    def flush(self) -> None:
        """Writes what waits."""
        self._loop = None
        lines: list[str] = []
        with suppress(IndexError):  # each line is taken once, whichever threads write and flush
            while True:
                lines.append(self._waiting.popleft())
        if lines:
            self.write("\n".join(lines))

    def write(self, line: str) -> None:
        stream = self.stream or sys.stdout
        try:
            stream.write(line + "\n")  # in one call, so that lines of several threads stay whole
            stream.flush()
        except (OSError, ValueError):  # the reader has gone, or the stream is closed: no reason to fail a request
            self.lost += 1

    debug = info = warning = error = critical = write


class _Timestamp:
    """Now, as `rfc3339` has it. What comes before the fraction is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._text = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{rest // 1000:06d}Z"


_timestamp: Final = _Timestamp()
_output: Final = _Output()
atexit.register(_output.flush)
_frames: Final = ExceptionDictTransformer(show_locals=False, max_frames=30, suppress=())


def _with_exception(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`exc_info` (True, an exception, or a triple) becomes the field `exception`: types, messages, frames, causes."""
    given = event.pop("exc_info", None)
    if isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    elif given and not isinstance(given, tuple):
        given = sys.exc_info()
    if given and given[1] is not None:
        event["exception"] = _frames(given)
    return event


def _with_surroundings(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line's head in its fixed order; whatever the caller named like a part of the head gets a `_` behind it."""
    context = current()
    principal = context.principal
    head = {
        "time": rfc3339(datetime.now(UTC)),
        "level": method,
        "event": event.pop("event"),
        "service": _output.service,
        "logger": event.pop("_logger"),
        "trace_id": context.trace.trace_id if context.trace else None,
        "span_id": context.trace.span_id if context.trace else None,
        "tenant": context.tenant,
        "request_id": context.request_id,
        "principal": principal.subject if principal is not None and principal.named else None,
        "principal_key": principal.key_id if principal is not None else None,
    }
    line = {name: value for name, value in head.items() if value is not None}
    for name, value in event.items():
        line[f"{name}_" if name in _HEAD else name] = value
    return line


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return redact_fields(event)


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:  # a lone surrogate in some text; the slow way escapes it
        return json.dumps(event)


_PROCESSORS: Final = (_with_exception, _with_surroundings, _without_secrets, _as_json)


class Logger(structlog.BoundLoggerBase):
    """Says what happened: `Logger.get("orders").info("order placed", order_id=…)`.

    The event is a constant sentence; what varies goes into fields. `bind` gives a logger that adds fields to each line.
    Works before `configure_logging`, in the same format, at level `info`.
    """

    @classmethod
    def get(cls, name: str) -> Self:
        return cls(_output, _PROCESSORS, {"_logger": name})

    def debug(self, event: str, /, **fields: Any) -> None:
        if _output.level <= 10:
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, /, **fields: Any) -> None:
        if _output.level <= 20:
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        if _output.level <= 30:
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, /, **fields: Any) -> None:
        if _output.level <= 40:
            self._proxy_to_logger("error", event, **fields)

    def critical(self, event: str, /, **fields: Any) -> None:
        self._proxy_to_logger("critical", event, **fields)

    def lines(self, level: str, event: str) -> "Lines":
        """For who writes a line a request, at a tenth of the cost."""
        return Lines(self._context["_logger"], level, event)

    def exception(self, event: str, /, **fields: Any) -> None:
        """An error with the exception being handled."""
        self.error(event, **{"exc_info": True, **fields})


class Lines:
    """All lines of one event, of one logger. What such a line says is text already: the members of a JSON object, the
    surroundings (`trace_id` …) first; whoever made them has escaped what must be, and has put no secret in."""

    __slots__ = ("_about", "_head", "_least", "_service")

    def __init__(self, logger: str, level: str, event: str) -> None:
        self._about = f'"level":"{level}","event":"{event}",', f'"logger":"{logger}",'
        self._least = _LEVELS[level]
        self._service: str | None = ""
        self._head = ""

    @property
    def heard(self) -> bool:
        """Whether such a line is written at all."""
        return _output.level <= self._least

    def write(self, members: str) -> None:
        """At the end of the loop's turn, where it is heard."""
        if _output.level > self._least:
            return
        service = _output.service
        if service is not self._service:
            self._service = service
            self._head = ("" if service is None else f'"service":"{service}",').join(self._about)
        _output.write_soon(f'{{"time":"{_timestamp()}",{self._head}{members}}}')


def _is_ours(name: str) -> bool:
    return name.partition(".")[0].partition("_")[0] == "cortex"


def _floor(name: str) -> int:
    """The least level at which this logger is heard, whatever ours is."""
    if _is_ours(name):
        return _LEVELS["debug"]
    return _LEVELS["warning" if name.partition(".")[0] in _CHATTY else "info"]


class _Bridge(logging.Handler):
    """Python's own logging, in our lines. The message's arguments are text by then: only their shape is scrubbed, and
    loggers that are not ours have a floor, also where a library has turned its own debugging on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= max(_floor(record.name), _output.level) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except (TypeError, ValueError):
            event = str(record.msg)  # arguments that do not fit their format: say what can be said
        level = next((name for name, least in reversed(_LEVELS.items()) if record.levelno >= least), "debug")
        getattr(Logger.get(record.name), level)(event, **({"exc_info": record.exc_info} if record.exc_info else {}))


def configure_logging(*, service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """From now on every line names `service`, starts at `level`, and goes to `stream` (default: standard output).

    May be called again; the last call holds. Raises ValueError for a level that is none.
    """
    if level not in _LEVELS:
        raise ValueError(f"level must be one of {', '.join(_LEVELS)}, not {level!r}")
    _output.service, _output.level, _output.stream = service, _LEVELS[level], stream
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(max(_output.level, _floor("")))  # here too, so that a driver's debug lines are not even made
    for name in ("cortex_core", f"cortex_{service}"):
        logging.getLogger(name).setLevel(_output.level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(_output.level, _floor(name)))
