"""How things look: the table of a hub that is ready, the report of a service that died. Reads well at 80 columns, and
without a terminal. An output that has gone away (a closed pipe, a closed window) is no reason to stop working.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cortex_cli.logs import Line
from cortex_cli.state import Member, State
from cortex_cli.status import Status
from cortex_cli.topology import read_topology

ORDER = (
    '{"customerId":"cus_1","currency":"EUR","items":[{"sku":"book","quantity":2,"unitPrice":1250}],'
    '"paymentToken":"tok_ok"}'
)


class _Console(Console):
    """Rich's console ends the program when its reader goes away. A supervisor has processes to look after."""

    def on_broken_pipe(self) -> None:
        _turn_away_from(self)


class TerminalScreen:
    """The supervisor's screen: news on standard output, trouble on standard error."""

    def __init__(self, state: State, *, detached: bool = False) -> None:
        self._state = state
        self._detached = detached
        self._out = _Console(highlight=False)
        self._err = _Console(highlight=False, stderr=True)

    def starting(self, members: Sequence[Member], state: State) -> None:
        names = ", ".join(member.name for member in members)
        self._say(f"Starting {names} [dim](state in {escape(_short(state.folder))})[/dim]")

    def is_ready(self, member: Member) -> None:
        self._say(f"  [green]ready[/green] {member.name:<12} [dim]{member.ready_after:5.1f} s[/dim]")

    def all_ready(self, members: Sequence[Member], seconds: float) -> None:
        services = [member for member in members if member.kind == "service"]
        table = _table("service", "URL", "pid", "docs")
        for member in services:
            pid = str(member.identity.pid) if member.identity else ""
            table.add_row(member.name, member.url, pid, f"{member.url}/docs")
        self._say("")
        self._say(table)
        self._say(f"\nReady in {seconds:.1f} s.{self._what_next(services)}")
        for line in examples({member.name: member.url for member in services}):
            self._say(line, plain=True)

    def _what_next(self, services: Sequence[Member]) -> str:
        """The words to type, with the folder where it is not the default."""
        default = State.chosen(None).folder
        where = "" if self._state.folder == default else f" --state {_short(self._state.folder)}"
        whole = {member.name for member in services} == set(read_topology().names)
        demo = f" `cortex demo{where}` shows what it can;" if whole else ""
        return f"{demo} {'`cortex down' + where + '`' if self._detached else 'Ctrl-C'} ends it."

    def died(self, member: Member, how: str, lines: Sequence[Line], *, again_in: float | None) -> None:
        pid = f" (pid {member.identity.pid})" if member.identity else ""
        then = f"it is started again in {again_in:g} s" if again_in is not None else "the rest is stopped"
        self._complain(f"{member.name}{pid} ended by itself: {how}; {then}")
        self._show_log(member, lines)

    def not_ready(self, member: Member, reason: str, lines: Sequence[Line], within: float) -> None:
        self._complain(f"{member.name} is not ready after {within:g} s: {reason}")
        self._show_log(member, lines)

    def trouble(self, what: str) -> None:
        self._complain(what)

    def stopping(self) -> None:
        self._say("Stopping … (again Ctrl-C: at once)")

    def stopped(self, seconds: float, killed: Sequence[str]) -> None:
        late = f"; killed, as too slow: {', '.join(killed)}" if killed else ""
        self._say(f"Stopped in {seconds:.1f} s{late}.")

    def _show_log(self, member: Member, lines: Sequence[Line]) -> None:
        log = _short(self._state.log(member.name))
        self._print(
            self._err, f"  its last lines ({log}):" if lines else f"  it has written nothing ({log})", plain=True
        )
        for line in lines:
            self._print(self._err, f"    {line.pretty()}", plain=True)

    def _say(self, what: str | Table, *, plain: bool = False) -> None:
        self._print(self._out, what, plain=plain)

    def _complain(self, what: str) -> None:
        self._print(self._err, f"[bold red]cortex:[/bold red] {escape(what)}")

    def _print(self, console: Console, what: str | Table, *, plain: bool = False) -> None:
        try:
            console.print(what, markup=not plain, soft_wrap=not isinstance(what, Table))
        except OSError:
            _turn_away_from(console)


def status_table(status: Status) -> Table:
    """`cortex status`, for people."""
    table = _table("service", "URL", "pid", "ready", "memory", "restarts")
    for row in status.rows:
        member = row.member
        pid = str(member.identity.pid) if member.identity and row.memory is not None else "-"
        memory = f"{row.memory / 2**20:.0f} MiB" if row.memory is not None else "-"
        ready = "[green]yes[/green]" if row.answer.ready else "[red]no[/red]"
        table.add_row(member.name, _short_url(member.url), pid, ready, memory, str(member.restarts))
    return table


def _short_url(url: str) -> str:
    return "(socket)" if url.startswith("unix:") else url


def examples(urls: dict[str, str]) -> list[str]:
    """Lines to copy into a shell, as far as the services they need run."""
    base = urls.get("gateway")
    if base is None:
        return []
    lines = [f"# the console, in a browser: {base}/"]
    if "order" in urls:
        lines += [f"curl -i {base}/api/orders -H 'Content-Type: application/json' -d '{ORDER}'"]
        lines += [f"curl '{base}/api/orders?limit=3'"]
    if "storage" in urls:
        lines += [f"echo 'hello, hub' | curl {base}/api/storage/files -H 'Content-Type: text/plain' --data-binary @-"]
    return ["", *lines, ""]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in {"pid", "memory", "restarts"} else "left")
    return table


def _short(path: Path) -> str:
    """Relative to here where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        return str(path)


def _turn_away_from(console: Console) -> None:
    """The reader has gone: what is still to be said goes nowhere, and Python's own flush at exit does not fail."""
    stream = sys.stderr if console.stderr else sys.stdout
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
