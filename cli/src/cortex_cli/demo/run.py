"""Runs the journey: its steps in order, up to the first that is not as it should be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cortex_cli.demo.expectation import Unmet
from cortex_cli.demo.gateway import Gateway
from cortex_cli.demo.journey import Journey, Order
from cortex_cli.demo.report import Json, Report, Step, Telling, frame_line


def demonstrate(url: str, services: tuple[str, ...], out: Path, *, as_json: bool) -> int:
    """The exit status: 0 where every step was as it should be. Raises Refusal where no hub answers at `url`."""
    return asyncio.run(show(url, services, out, Json() if as_json else Telling()))


async def show(url: str, services: tuple[str, ...], out: Path, report: Report) -> int:
    """The same, in a loop that runs, told to `report`."""

    def waits(seconds: int) -> None:
        report.note(f"the gateway asks to wait {seconds} s: its limit for one client")

    def heard(frame: dict[str, Any], orders: list[Order]) -> None:
        report.note(frame_line(frame, orders))

    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway.open(url, waits))
        journey = Journey(gateway, services, out, report.note, heard, stack)
        steps = await _walk(journey, report)
    report.summary(gateway.url, steps, journey.details | {"requests": gateway.requests})
    return 0 if all(step.result == "ok" for step in steps) else 1


async def _walk(journey: Journey, report: Report) -> list[Step]:
    walked: list[Step] = []
    for name, work in journey.steps():
        if walked and walked[-1].result != "ok":
            walked.append(Step(name, "skipped"))
            continue
        report.began(name)
        walked.append(await _take(name, work))
        report.ended(walked[-1])
    return walked


async def _take(name: str, work: Callable[[], Awaitable[str]]) -> Step:
    began = time.monotonic()
    try:
        says = await work()
    except Unmet as unmet:
        return Step(name, "failed", time.monotonic() - began, str(unmet))
    return Step(name, "ok", time.monotonic() - began, says)
