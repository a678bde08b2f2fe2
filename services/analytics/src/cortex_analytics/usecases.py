"""What the service does, one verb a class. Counting is safe to repeat: the ledger knows each event by its id."""

from dataclasses import dataclass

from cortex_analytics.domain import Created, Ended, Figures, OrderId, Outcome
from cortex_analytics.ports import Exposition, Ledger, LedgerUnavailable
from cortex_contracts import OrderCancelled, OrderCompleted, OrderCreated, OrderFailed
from cortex_core.kernel import Delivered


@dataclass(frozen=True, slots=True)
class CountCreation:
    """An order more."""

    ledger: Ledger

    async def __call__(self, event: Delivered[OrderCreated]) -> None:
        await self.ledger.record(event.tenant, event.id, Created(OrderId(event.data.order_id)))


@dataclass(frozen=True, slots=True)
class CountCompletion:
    """An order completed, and how long that took. Only completed orders are measured: how fast one is declined says
    nothing about how fast one is served."""

    ledger: Ledger

    async def __call__(self, event: Delivered[OrderCompleted]) -> None:
        fact = Ended(OrderId(event.data.order_id), Outcome.COMPLETED, event.data.processing_time)
        await self.ledger.record(event.tenant, event.id, fact)


@dataclass(frozen=True, slots=True)
class CountFailure:
    """An order failed."""

    ledger: Ledger

    async def __call__(self, event: Delivered[OrderFailed]) -> None:
        await self.ledger.record(event.tenant, event.id, Ended(OrderId(event.data.order_id), Outcome.FAILED))


@dataclass(frozen=True, slots=True)
class CountCancellation:
    """An order was called off."""

    ledger: Ledger

    async def __call__(self, event: Delivered[OrderCancelled]) -> None:
        await self.ledger.record(event.tenant, event.id, Ended(OrderId(event.data.order_id), Outcome.CANCELLED))


@dataclass(frozen=True, slots=True)
class ShowFigures:
    """One tenant's figures."""

    ledger: Ledger

    async def __call__(self, tenant: str) -> Figures:
        return await self.ledger.figures(tenant)


@dataclass(frozen=True, slots=True)
class ExportMetrics:
    """Everything for Prometheus, read when it is asked for: right after a restart, and the same from every replica.

    While the ledger cannot be read, what else this process measures is still worth reading.
    """

    ledger: Ledger
    exposition: Exposition

    async def __call__(self) -> str:
        try:
            totals = await self.ledger.totals()
        except LedgerUnavailable:
            totals = None
        return self.exposition.render(totals)


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    count_creation: CountCreation
    count_completion: CountCompletion
    count_failure: CountFailure
    count_cancellation: CountCancellation
    show: ShowFigures
    export: ExportMetrics
