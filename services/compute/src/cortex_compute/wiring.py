"""The parts, put together. Tests pass fakes for what they replace."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from cortex_compute import api
from cortex_compute.adapters.announcements import BusAnnouncements
from cortex_compute.adapters.kernels import SelfTest, load_module
from cortex_compute.adapters.machine import give_back_at_once, memory_limit
from cortex_compute.adapters.memory import MemoryBudget
from cortex_compute.adapters.processor import ImageProcessor, Job
from cortex_compute.adapters.threads import ThreadWorkshop
from cortex_compute.domain import KEPT, MIB, Bounds, ProcessedImage
from cortex_compute.settings import Settings
from cortex_compute.usecases import ProcessImage, UseCases
from cortex_core.chassis import Platform, create_app
from cortex_core.events import EventBus
from cortex_core.kernel import Clock, CortexError
from cortex_core.observability import MetricsCollector

_DRAIN = 0.5  # seconds the last announcements have at the end
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@asynccontextmanager
async def running(
    platform: Platform, settings: Settings, *, work: Callable[[Job], ProcessedImage] | None = None
) -> AsyncIterator[UseCases]:
    """Opens what the service stands on, closes it in reverse. `work` replaces what a worker does with a job."""
    give_back_at_once()
    bounds = bounds_of(settings, memory_limit())
    async with AsyncExitStack() as stack:
        module = await asyncio.to_thread(load_module)
        self_test = SelfTest(module)  # this thread's: it runs on the loop, for the 20 µs it takes

        async def wasm() -> dict[str, Any]:
            self_test()
            return {"exports": module.exports}

        platform.health.register("wasm", wasm)
        announcements = _announcements(platform, settings)
        platform.background(announcements.run, name="announcements")
        stack.push_async_callback(announcements.drain, _DRAIN)
        workshop = _workshop(platform.metrics, settings, work or ImageProcessor(module))
        stack.push_async_callback(workshop.aclose)
        memory = _memory(platform.metrics, bounds)
        yield UseCases(
            ProcessImage(workshop, announcements, settings.max_pixels, settings.body_limit, bounds), memory.room
        )


def build(settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None, **fakes: Any) -> FastAPI:
    """The application. The bus is not required: without it images are processed and their events wait, or are lost."""
    return create_app(
        settings,
        running=lambda platform: running(platform, settings, **fakes),
        routers=[api.router],
        clock=clock,
        bus=bus,
        bus_required=False,
        description="Images in, images out: PNG, JPEG and WebP through kernels in WebAssembly.",
    )


def bounds_of(settings: Settings, limit: int) -> Bounds:
    """Of each process, where the container may have `limit` bytes. Raises ValueError where nothing fits."""
    budget = limit // settings.server_workers - KEPT
    if settings.memory_budget is not None:
        budget = settings.memory_budget * MIB
    return Bounds.within(budget, body_limit=settings.body_limit, places=settings.workers + settings.queue)


def _memory(metrics: MetricsCollector, bounds: Bounds) -> MemoryBudget:
    budget = metrics.create_gauge("cortex_hub_image_memory_budget_bytes", "Bytes that images may take in memory")
    budget.set(bounds.budget)
    reserved = metrics.create_gauge(
        "cortex_hub_image_memory_reserved_bytes", "Bytes taken by files, their processing and answers"
    )
    return MemoryBudget(bounds, on_reserved=reserved.set)


def _workshop(metrics: MetricsCollector, settings: Settings, work: Callable[[Job], ProcessedImage]) -> ThreadWorkshop:
    waiting = metrics.create_gauge("cortex_hub_image_queue_depth", "Images that wait for a worker")
    seconds = metrics.create_histogram(
        "cortex_hub_image_processing_seconds",
        "Seconds a worker spent on an image that was processed",
        buckets=_SECONDS,
        labels=("operation",),
    )

    def processed(image: ProcessedImage) -> None:
        seconds.labels(operation=image.operation.value).observe(image.seconds)

    return ThreadWorkshop(
        work, workers=settings.workers, queue=settings.queue, on_waiting=waiting.set, on_processed=processed
    )


def _announcements(platform: Platform, settings: Settings) -> BusAnnouncements:
    dropped = platform.metrics.create_counter(
        "cortex_hub_image_events_dropped_total", "Events about images that were lost while the bus was away"
    )

    def trouble(error: CortexError) -> None:
        platform.logger.warning("announcements wait for the bus", code=error.code, reason=error.message)

    return BusAnnouncements(
        platform.bus.publish,
        clock=platform.clock,
        capacity=settings.announcements,
        on_dropped=dropped.inc,
        on_trouble=trouble,
    )
