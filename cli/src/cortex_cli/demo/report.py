"""What the person, or the script, is told of a demonstration."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cortex_cli.demo.journey import Order

Result = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step's end. `says` is its result, or what was expected and found instead."""

    name: str
    result: Result
    seconds: float = 0.0
    says: str = ""


class Report(Protocol):
    """Who is told."""

    def began(self, name: str) -> None: ...
    def note(self, text: str) -> None: ...
    def ended(self, step: Step) -> None: ...
    def summary(self, url: str, steps: Sequence[Step], details: dict[str, Any]) -> None: ...


class Telling:
    """For people: a line as each thing happens, a table at the end."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def began(self, name: str) -> None:
        self._console.print(f"[bold]{escape(name)}[/bold]")

    def note(self, text: str) -> None:
        self._console.print(f"  [dim]{escape(text)}[/dim]", soft_wrap=True)

    def ended(self, step: Step) -> None:
        self._console.print(f"  {_mark(step)} {escape(step.says)}", soft_wrap=True)

    def summary(self, url: str, steps: Sequence[Step], details: dict[str, Any]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("step", no_wrap=True)
        table.add_column("result", no_wrap=True)
        table.add_column("took", justify="right", no_wrap=True)
        table.add_column("what")
        for step in steps:
            took = f"{step.seconds:.1f} s" if step.result != "skipped" else ""
            table.add_row(step.name, _mark(step), took, escape(step.says))
        self._console.print()
        self._console.print(table)
        failed = sum(step.result == "failed" for step in steps)
        told = "[red]Not as it should be.[/red]" if failed else "[green]All as it should be.[/green]"
        self._console.print(f"\n{told} {details['requests']} requests to {escape(url)}.", soft_wrap=True)


class Json:
    """For scripts: nothing until the end, then one document."""

    def began(self, name: str) -> None:
        """Nothing to say yet."""

    def note(self, text: str) -> None:
        """Nothing to say yet."""

    def ended(self, step: Step) -> None:
        """Nothing to say yet."""

    def summary(self, url: str, steps: Sequence[Step], details: dict[str, Any]) -> None:
        document = {
            "ok": all(step.result == "ok" for step in steps),
            "url": url,
            "steps": [
                {"name": step.name, "result": step.result, "seconds": round(step.seconds, 3), "says": step.says}
                for step in steps
            ],
            **details,
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201 - this is the output


def frame_line(frame: dict[str, Any], orders: Sequence[Order]) -> str:
    """A notification in a line: `order.completed …a1b2c3 tok_flaky 1.2 s`."""
    data = frame.get("data", {})
    order_id = str(data.get("orderId", ""))
    token = next((order.token for order in orders if order.order_id == order_id), "")
    more = data.get("reason") or data.get("state") or ""
    took = data.get("processingTime")
    seconds = f"{took:.2f} s" if isinstance(took, int | float) else ""
    return " ".join(
        part for part in (f"{frame.get('type', ''):<19}", f"…{order_id[-8:]}", token, more, seconds) if part
    )


def _mark(step: Step) -> str:
    return {"ok": "[green]ok[/green]", "failed": "[red]failed[/red]", "skipped": "[dim]skipped[/dim]"}[step.result]
