"""Positions on PostgreSQL: which gaps are still open, and which will never be filled.

A position is drawn from a sequence when its row is written, and seen when its transaction commits. So positions become
visible out of order, and those of a transaction that was undone never do. A reader that goes by `position > after` and
passes a gap too early loses what is committed into it later: so it stops there until nobody is left who could fill it.

Whoever writes into `events` holds a lock on the table (ROW EXCLUSIVE) from before his first position is drawn until his
transaction has ended and its rows are visible. So of two looks, in this order, at

1. the highest position there is, H, in one snapshot,
2. the transactions that hold that lock,

the second names everybody who may still fill a gap up to H: whoever has drawn a position below H did so before H was
drawn, which was before H was seen. Once all of them have ended, what a later snapshot shows up to H is all there will
ever be: H is settled. Where nobody holds the lock it is settled at once, so that a store with thousands of old gaps
costs one look. Transactions that do not write events keep nobody waiting, however long they are open.

The numbers of transactions would tell less: pg_snapshot_xmax() is the end of those completed, not of those begun, and
xmin is held back by every transaction of the server that writes anything anywhere (docs/adr, "Positions without gaps").
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# One statement: its snapshot is taken before the function behind pg_locks looks at the locks as they are.
_LOOK: Final = text(
    "SELECT coalesce((SELECT max(position) FROM events), 0), ARRAY("
    " SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND relation = 'events'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode = 'RowExclusiveLock' AND granted)"
)


@dataclass(frozen=True, slots=True)
class Look:
    """The highest position that was visible, and the transactions that were writing a moment later."""

    highest: int
    writers: frozenset[str]


@dataclass(slots=True)
class Horizon:
    """Up to `settled` every gap is one for ever. It only grows, by what looks tell it.

    One look is kept until its writers have ended, and is not exchanged for a newer one meanwhile: under writers that
    overlap without end there would always be a newer one.
    """

    settled: int = 0
    _awaited: Look | None = field(default=None, init=False)

    def learn(self, look: Look) -> None:
        if not look.writers:
            self._settle(look.highest)
            self._awaited = None
        elif self._awaited is None:
            self._awaited = look
        elif not self._awaited.writers & look.writers:
            self._settle(self._awaited.highest)
            self._awaited = look

    def _settle(self, position: int) -> None:
        self.settled = max(self.settled, position)


def before_first_gap(positions: Sequence[int], after: int, settled: int) -> int:
    """How many of `positions`, which grow, come before a gap that may still be filled: one above `settled`."""
    reached = after
    for count, position in enumerate(positions):
        if position - 1 > max(reached, settled):
            return count
        reached = position
    return len(positions)


async def look(connection: AsyncConnection) -> Look:
    """On a connection without a transaction, whose next statement sees what was committed meanwhile."""
    highest, writers = (await connection.execute(_LOOK)).one()
    return Look(highest, frozenset(writers))
