"""The roles the use cases need."""

from typing import Protocol

from cortex_analytics.domain import Fact, Figures
from cortex_core.kernel import CortexError, Kind


class LedgerUnavailable(CortexError):
    """Where the figures are kept cannot be reached now."""

    code, kind = "analytics.ledger-unavailable", Kind.UNAVAILABLE


class Ledger(Protocol):
    """Where the figures are kept. Contract: tests/test_ledgers.py, over every ledger."""

    async def record(self, tenant: str, event_id: str, fact: Fact) -> bool:
        """Counts `fact`, durably when it returns; False, and nothing changes, where this event was counted before.

        Raises ImplausibleDuration, and LedgerUnavailable, after which the event must come again.
        """
        ...

    async def figures(self, tenant: str) -> Figures:
        """One tenant's. Raises LedgerUnavailable."""
        ...

    async def totals(self) -> Figures:
        """All tenants' together. Raises LedgerUnavailable."""
        ...


class Exposition(Protocol):
    """The figures as a scraper reads them."""

    def render(self, totals: Figures | None) -> str:
        """The text, beside everything else this process measures; without the figures of orders where they are None:
        a stale figure looks like a true one, a missing one does not."""
        ...
