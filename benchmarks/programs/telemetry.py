"""One FastAPI service with telemetry on and off: ours as the chassis puts it together, theirs as OpenTelemetry's
FastAPI instrumentation and prometheus-fastapi-instrumentator do.

Environment: `BENCH_COLLECTOR` where spans go, `BENCH_RATIO` how many of the traces are taken.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from cortex_core.chassis import Config, create_app
from cortex_core.chassis.telemetry import RequestTelemetry
from cortex_core.events import MemoryEventBus
from cortex_core.observability import configure_logging

ANSWER: Final = {"orderId": "ord_1", "status": "completed", "total": 2500, "currency": "EUR"}
_PATH: Final = "/orders/{order_id}"


def ours() -> FastAPI:
    """Spans and metrics; no line is written for a request."""
    configure_logging(service="bench", level="warning")
    return _service()


def ours_with_lines() -> FastAPI:
    configure_logging(service="bench", level="info")
    return _service()


def ours_off() -> FastAPI:
    """The same service without what leaves spans, metrics and lines behind."""
    configure_logging(service="bench", level="warning")
    app = _service()
    app.user_middleware = [each for each in app.user_middleware if each.cls is not RequestTelemetry]
    return app


def theirs() -> FastAPI:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    from prometheus_fastapi_instrumentator import Instrumentator

    app = theirs_off()
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(float(os.environ["BENCH_RATIO"]))))
    exporter = OTLPSpanExporter(os.environ["BENCH_COLLECTOR"] + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    Instrumentator().instrument(app).expose(app)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, exclude_spans=["send", "receive"])
    return app


def theirs_off() -> FastAPI:
    app = FastAPI()
    app.include_router(_router())
    return app


def _router() -> APIRouter:
    router = APIRouter()

    @router.get(_PATH)
    async def order(order_id: str) -> dict[str, Any]:
        return {**ANSWER, "orderId": order_id}

    return router


def _service() -> FastAPI:
    settings = Config(
        env="test",
        otlp_endpoint=os.environ["BENCH_COLLECTOR"],
        trace_sample_ratio=float(os.environ["BENCH_RATIO"]),
    )

    @asynccontextmanager
    async def running(_platform: Any) -> AsyncIterator[None]:
        yield

    return create_app(settings, running=running, routers=[_router()], bus=MemoryEventBus())
