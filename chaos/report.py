"""Verdicts as a table that reads the same on a terminal and in RESULTS.md."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from chaos.experiment import Verdict

_COLUMNS = ("row", "database", "mechanism", "faults", "figures", "verdict", "s")


def table(verdicts: Sequence[Verdict]) -> str:
    rows = [_COLUMNS, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    ruler = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], ruler, *lines[1:]])


def write(path: Path, suite: str, scale: float, verdicts: Sequence[Verdict]) -> None:
    path.write_text(
        f"# {suite}: what the last full run found\n\n"
        f"Written by `make chaos-{suite}`. What each row promises, and how it is tried: [README.md](README.md).\n"
        "A control is the same run with the mechanism taken away: it has to fail.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, scale {scale:g}.\n\n"
        f"{table(verdicts)}\n",
        encoding="utf-8",
    )


def _cells(verdict: Verdict) -> tuple[str, ...]:
    outcome = verdict.outcome
    return (
        verdict.row,
        verdict.database,
        "as shipped" if verdict.control is None else f"control: {verdict.control}",
        "-" if outcome is None else str(outcome.faults),
        "-" if outcome is None else ", ".join(f"{name} {_shown(value)}" for name, value in outcome.figures.items()),
        verdict.words,
        f"{verdict.seconds:.0f}",
    )


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
