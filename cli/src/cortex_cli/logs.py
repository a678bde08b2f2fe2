"""The logs of a hub's processes: the last lines, the lines to come, and a form for people.

A line is JSON where a service wrote it, anything at all where Redis or a traceback did; both are shown. Following
survives a log that is emptied (it grew past its limit) or replaced (the hub was started again).
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cortex_cli.refusal import Refusal
from cortex_cli.state import State

_CHUNK: Final = 64 << 10
_POLL: Final = 0.2  # seconds
_SHOWN_ELSEWHERE: Final = {"time", "level", "event", "service", "logger", "trace_id", "span_id", "tenant", "request_id"}
_COLOURS: Final = {"error": "red", "critical": "red", "warning": "yellow", "debug": "bright_black"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one process."""

    source: str
    text: str
    fields: dict[str, Any] | None  # None where it is not JSON

    @classmethod
    def of(cls, source: str, raw: bytes) -> Self:
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        try:
            fields = json.loads(text) if text.startswith("{") else None
        except json.JSONDecodeError:
            fields = None
        return cls(source, text, fields if isinstance(fields, dict) else None)

    @property
    def time(self) -> str:
        """RFC 3339, or empty where the line tells none."""
        return str(self.fields.get("time", "")) if self.fields else ""

    def pretty(self) -> str:
        """`12:00:00.123 info  order placed order_id=ord_…`, or the line as it is."""
        if self.fields is None:
            return self.text
        clock = self.time[11:23]
        level = str(self.fields.get("level", ""))
        rest = " ".join(f"{key}={_brief(value)}" for key, value in self.fields.items() if key not in _SHOWN_ELSEWHERE)
        return f"{clock} {level:<7} {self.fields.get('event', '')}{' ' if rest else ''}{rest}".rstrip()

    @property
    def colour(self) -> str | None:
        return _COLOURS.get(str(self.fields.get("level", ""))) if self.fields else None

    def as_json(self) -> str:
        """The line as it was written where that is JSON; else wrapped, so that every line of the output is."""
        return self.text if self.fields is not None else json.dumps({"service": self.source, "event": self.text})


def sources(state: State, wanted: str | None) -> list[str]:
    """The processes that have logs here, or the wanted one. Raises Refusal where there is none."""
    there = sorted(path.name.removesuffix(".log") for path in state.logs.glob("*.log"))
    if not there:
        raise Refusal(f"no logs in {state.folder}: nothing has been started there yet (`cortex up`)")
    if wanted is None:
        return there
    if wanted not in there:
        raise Refusal(f"no log of {wanted!r} here; there are {', '.join(there)}", status=2)
    return [wanted]


def last_lines(state: State, names: Sequence[str], count: int) -> list[Line]:
    """The newest `count` of each, together, by their times (a line without one stays behind its neighbour)."""
    dated: list[tuple[str, Line]] = []
    for name in names:
        newest = ""
        for line in tail(state.log(name), name, count):
            newest = line.time or newest
            dated.append((newest, line))
    return [line for _, line in sorted(dated, key=lambda pair: pair[0])]


def tail(log: Path, name: str, count: int) -> list[Line]:
    """The last `count` lines, read from the end backwards."""
    if count <= 0 or not log.exists():
        return []
    with log.open("rb") as file:
        position = file.seek(0, 2)
        found = b""
        while position > 0 and found.count(b"\n") <= count:
            step = min(_CHUNK, position)
            position -= step
            file.seek(position)
            found = file.read(step) + found
    return [Line.of(name, raw) for raw in found.splitlines()[-count:]]


def follow(state: State, names: Sequence[str]) -> Iterator[Line]:
    """Lines written from now on, for ever."""
    tails = [_Tail(name, state.log(name)) for name in names]
    while True:
        news = [line for each in tails for line in each.read()]
        yield from sorted(news, key=lambda line: line.time)
        if not news:
            time.sleep(_POLL)


class _Tail:
    """A place in a log that may be emptied or replaced beneath us."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._rest = b""
        self._inode, self._position = self._now()

    def read(self) -> list[Line]:
        inode, size = self._now()
        if inode != self._inode or size < self._position:
            self._inode, self._position, self._rest = inode, 0, b""
        if size == self._position:
            return []
        with self._log.open("rb") as file:
            file.seek(self._position)
            new = file.read(size - self._position)
        self._position += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [Line.of(self._name, raw) for raw in whole]

    def _now(self) -> tuple[int, int]:
        try:
            found = self._log.stat()
        except FileNotFoundError:  # between two runs
            return 0, 0
        return found.st_ino, found.st_size


def _brief(value: Any) -> str:
    return value if isinstance(value, str) and value and not set(value) & set(' "=\n') else json.dumps(value)
