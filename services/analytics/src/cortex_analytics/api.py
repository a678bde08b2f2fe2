"""The edge: figures as JSON, and as Prometheus reads them."""

from typing import Annotated, Self

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cortex_analytics.domain import Durations, Figures
from cortex_analytics.ports import LedgerUnavailable
from cortex_analytics.usecases import UseCases
from cortex_core.chassis import ProtectedRoute, problems, requires, use_cases
from cortex_core.kernel import current
from cortex_core.observability import PROMETHEUS_CONTENT_TYPE

UseCasesDep = Annotated[UseCases, Depends(use_cases)]

router = APIRouter(tags=["analytics"], route_class=ProtectedRoute)


class View(BaseModel):
    """camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class OrdersView(View):
    """How many orders came, and how they ended."""

    created: int
    completed: int
    failed: int
    cancelled: int


class SecondsView(View):
    """How long completed orders took, from creation to completion, in seconds; `null` while there are none.

    Percentiles are of nearest rank and within 1 % of the true value; `mean` is exact to the microsecond.
    """

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, durations: Durations) -> Self:
        p50, p95, p99 = (durations.quantile(q) for q in (0.5, 0.95, 0.99))
        return cls(count=durations.count, mean=_rounded(durations.mean), p50=p50, p95=p95, p99=p99)


class MetricsView(View):
    """The figures of the asking tenant."""

    active_orders: int = Field(description="Created, and neither completed, failed nor cancelled.")
    orders: OrdersView
    processing_seconds: SecondsView

    @classmethod
    def of(cls, figures: Figures) -> Self:
        return cls(
            active_orders=figures.active,
            orders=OrdersView(
                created=figures.created,
                completed=figures.completed,
                failed=figures.failed,
                cancelled=figures.cancelled,
            ),
            processing_seconds=SecondsView.of(figures.durations),
        )


@router.get(
    "/analytics/metrics",
    dependencies=[requires("analytics:read")],
    summary="Orders by outcome, and how long they took",
    responses=problems(LedgerUnavailable),
)
async def metrics(use: UseCasesDep) -> MetricsView:
    return MetricsView.of(await use.show(current().tenant))


@router.get("/metrics", include_in_schema=False)
async def prometheus(use: UseCasesDep) -> Response:
    """In place of the chassis' own, which cannot wait for the ledger. Routers come before probes: this one wins."""
    return Response(await use.export(), media_type=PROMETHEUS_CONTENT_TYPE)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
