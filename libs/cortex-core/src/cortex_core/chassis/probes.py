"""What every service answers about itself to those who run it: `/health*`, `/metrics`."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from cortex_core.chassis.platform import Platform
from cortex_core.kernel.clock import rfc3339
from cortex_core.observability import PROMETHEUS_CONTENT_TYPE, HealthReport, Status


class CheckView(BaseModel):
    """One check. What else it tells stands beside these."""

    model_config = ConfigDict(extra="allow")

    status: Literal["up", "degraded", "down"]
    durationMs: float  # noqa: N815 - camelCase is the wire's
    error: str | None = None


class HealthView(BaseModel):
    """`degraded`: something is down that it can do without."""

    status: Literal["up", "degraded", "down"]
    timestamp: datetime
    checks: dict[str, CheckView]


class AliveView(BaseModel):
    """The process answers."""

    status: Literal["up"]
    timestamp: datetime


def _ending(platform: Platform) -> dict[str, Any]:
    """Nothing is asked any more: whatever the checks would say, it should be given no work."""
    drain = {"status": "down", "durationMs": 0.0, "error": "the service is draining"}
    return {"status": "down", "timestamp": rfc3339(platform.clock.now()), "checks": {"drain": drain}}


def probes(platform: Platform, *, metrics: bool = True, details: bool = True) -> APIRouter:
    """Live: the process answers. Ready: what it cannot do without is there. Health: the whole report, always 200.

    They differ on purpose: an outage of a dependency must not restart those who wait for it. `metrics`: whether
    `/metrics` is here, or elsewhere; `details`: whether the single checks are told.
    """

    def shown(report: HealthReport) -> dict[str, Any]:
        return (report if details else replace(report, checks={})).to_dict()

    router = APIRouter(tags=["operations"])

    @router.get("/health/live", summary="Is the process alive?", responses={200: {"model": AliveView}})
    async def live() -> JSONResponse:
        return JSONResponse({"status": "up", "timestamp": rfc3339(platform.clock.now())})

    @router.get(
        "/health/ready",
        summary="Should it be given work?",
        responses={
            200: {"model": HealthView},
            503: {"model": HealthView, "description": "Something it cannot do without is down"},
        },
    )
    async def ready() -> JSONResponse:
        if platform.drain.begun:
            return JSONResponse(_ending(platform), 503)
        report = await platform.health.run()
        return JSONResponse(shown(report), 503 if report.status is Status.DOWN else 200)

    @router.get("/health", summary="How is it?", responses={200: {"model": HealthView}})
    async def health() -> JSONResponse:
        return JSONResponse(shown(await platform.health.run()))

    if metrics:

        @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
        async def exposition() -> Response:
            return Response(platform.metrics.to_prometheus_format(), media_type=PROMETHEUS_CONTENT_TYPE)

    return router
