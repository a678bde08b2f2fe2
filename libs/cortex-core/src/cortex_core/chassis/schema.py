"""`python -m cortex_order.main db upgrade`: a service brings its own database to the newest revision, and ends.

In production a service does not do so at its start: an operator decides when. `cortex db upgrade` asks each service.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cortex_core.kernel.errors import CortexError


def upgrade_database(service: str, database_url: str, migrations: Sequence[Path]) -> int:
    """Prints what was done. The exit status: 69 where the database cannot be reached or is not ours to upgrade."""
    from cortex_core.eventsourcing.sql import upgrade  # late: a service that only serves has no use for Alembic

    try:
        reached = asyncio.run(upgrade(database_url, migrations))
    except (CortexError, OSError, ValueError) as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 69
    print(f"{service}: {'reached ' + ', '.join(reached) if reached else 'is current'}")  # noqa: T201 - as above
    return 0
