"""`python -m cortex_order.main db upgrade`: a service brings its own database to the newest revision, and ends.

In production a service does not do so at its start: an operator decides when. `cortex db upgrade` asks each service. A
job may come before its database does: one that cannot be reached yet is waited for, `--wait` seconds.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.errors import CortexError

WAIT: Final = 60.0
"""Seconds that a database is waited for, where nothing else is said."""

_LONGEST: Final = 3600
_AGAIN: Final = 1.0


def seconds_to_wait(words: Sequence[str]) -> float | None:
    """What stands behind `db upgrade`: nothing, `--wait 60` or `--wait=60`. None: something else."""
    if not words:
        return WAIT
    name, equals, value = words[0].partition("=")
    value, left = (value, words[1:]) if equals else ("".join(words[1:2]), words[2:])
    fits = name == "--wait" and not left and value.isascii() and value.isdigit() and int(value) <= _LONGEST
    return float(value) if fits else None


def upgrade_database(
    service: str, database_url: str, migrations: Sequence[Path], *, wait: float = WAIT, clock: Clock | None = None
) -> int:
    """Prints what was done. The exit status: 69 where the database cannot be reached within `wait` seconds, does not
    let us in, or is not ours to upgrade."""
    try:
        reached = asyncio.run(_upgraded(service, database_url, migrations, wait, clock or SystemClock()))
    except (CortexError, OSError, ValueError) as error:
        _say(f"{service}: {_variable(service)}: {error}")
        return 69
    print(f"{service}: {'reached ' + ', '.join(reached) if reached else 'is current'}")  # noqa: T201 - its answer
    return 0


async def _upgraded(
    service: str, database_url: str, migrations: Sequence[Path], wait: float, clock: Clock
) -> list[str]:
    from cortex_core.eventsourcing.sql import upgrade  # late: a service that only serves has no use for Alembic

    until = clock.monotonic() + wait
    said = False
    while True:
        try:
            return await upgrade(database_url, migrations)
        except CortexError as error:
            if not error.awaited or clock.monotonic() + _AGAIN > until:
                raise
            if not said:
                _say(f"{service}: waiting up to {wait:g} s: {error}")
            said = True
        await clock.sleep(_AGAIN)


def _variable(service: str) -> str:
    return f"{service.upper()}_DATABASE_URL"


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - a command's answer
