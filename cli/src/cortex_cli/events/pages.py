"""How events, groups and dead letters look. What comes from the bus was written by others: it is shown as text, without
what would steer a terminal."""

import json
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cortex_core.events import DeadLetter, GroupLag, LogEntry
from cortex_core.kernel.clock import rfc3339


def entry_line(entry: LogEntry) -> str:
    """`TIME TENANT TYPE SUBJECT DATA`, the entry first."""
    event = entry.event
    if event is None:
        return f"{entry.entry} {entry.tenant} {entry.topic} no CloudEvent: {_plain(_text(entry.raw))}"
    data = json.dumps(event.data, separators=(",", ":"), ensure_ascii=False)
    return _plain(f"{entry.entry} {rfc3339(event.time)} {event.tenant} {event.type} {event.subject} {data}")


def letter_page(letter: DeadLetter) -> str:
    """All of one, for reading."""
    content = json.dumps(letter.event.to_dict(), indent=2, ensure_ascii=False) if letter.event else _text(letter.raw)
    return "\n".join(
        [
            f"entry     {letter.entry}",
            f"group     {letter.group}",
            f"topic     {letter.topic}",
            f"died      {rfc3339(letter.time)} at attempt {letter.attempts}",
            f"code      {letter.code}",
            f"reason    {_plain(letter.reason)}",
            "",
            "\n".join(_plain(line) for line in content.splitlines()),
        ]
    )


def print_lags(lags: Sequence[GroupLag]) -> None:
    if not lags:
        _out().print("No group has joined yet.")
        return
    table = _table("group", "tenant", "topic", ">waiting", ">pending", ">oldest", ">members", ">dead letters")
    for lag in lags:
        for topic in lag.topics:
            figures = (topic.waiting, topic.pending, f"{topic.seconds:.1f} s", topic.members, lag.dead_letters)
            table.add_row(escape(lag.group), lag.tenant, escape(topic.topic), *map(str, figures))
        if not lag.topics:
            table.add_row(escape(lag.group), lag.tenant, "", "", "", "", "", str(lag.dead_letters))
    _out().print(table)


def print_letters(group: str, letters: Sequence[DeadLetter]) -> None:
    if not letters:
        _out().print(f"{escape(group)} has no dead letters.")
        return
    table = _table("entry", "died", "event", "code", ">attempts")
    for letter in letters:
        kind = f"{letter.event.type} {letter.event.subject}" if letter.event else f"{letter.topic}: no CloudEvent"
        died = rfc3339(letter.time).partition(".")[0]
        table.add_row(letter.entry, died, escape(_plain(kind)), escape(letter.code), str(letter.attempts))
    _out().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        name = column.removeprefix(">")
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name == "entry")  # it is there to be copied
    return table


def _out() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
