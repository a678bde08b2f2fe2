"""What every service answers about itself: `/health*`, `/metrics`, `/docs`. The pages bring their own assets."""

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from cortex_core.chassis.platform import Platform
from cortex_core.kernel.clock import rfc3339
from cortex_core.observability import PROMETHEUS_CONTENT_TYPE, Status


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


def probes(platform: Platform) -> APIRouter:
    """Live: the process answers. Ready: what it cannot do without is there. Health: the whole report, always 200.

    They differ on purpose: an outage of a dependency must not restart those who wait for it.
    """
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
        report = await platform.health.run()
        return JSONResponse(report.to_dict(), 503 if report.status is Status.DOWN else 200)

    @router.get("/health", summary="How is it?", responses={200: {"model": HealthView}})
    async def health() -> JSONResponse:
        return JSONResponse((await platform.health.run()).to_dict())

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(platform.metrics.to_prometheus_format(), media_type=PROMETHEUS_CONTENT_TYPE)

    return router


def docs(title: str) -> APIRouter:
    """`/docs`: Swagger UI over `openapi.json`, by relative links, so that it works behind any prefix."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=title,
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon.png",
        )

    return router


def docs_assets() -> StaticFiles:
    """Swagger UI's files, from the package that ships them; found without importing it."""
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:  # pragma: no cover - a broken installation
        raise RuntimeError("fastapi-offline is not installed: install cortex-core[chassis]")
    return StaticFiles(directory=Path(found.origin).parent / "static")
