"""What an actor system tells, as metrics and log lines."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorOptions, ActorStopped, ActorSystem, AskTimeout, Directive, Supervision
from cortex_core.chassis.actor_reporter import ActorReporter
from cortex_core.observability import Logger, MetricsCollector, configure_logging
from cortex_core.observability import logging as ours
from cortex_core.testing import FakeClock


class Kettle(Actor):
    """Waits for a future, fails with an exception, gives back the rest."""

    def __init__(self, key: str = "") -> None:
        self.key = key

    async def receive(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return await message if isinstance(message, asyncio.Future) else message


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that this process logs."""
    root, before = logging.getLogger(), dict(vars(ours._output))
    level, handlers = root.level, list(root.handlers)
    stream = io.StringIO()
    configure_logging(service="tea", level="debug", stream=stream)
    yield stream
    configure_logging(service="tea")
    root.handlers[:], root.level = handlers, level
    vars(ours._output).update(before)


@pytest.fixture
async def system(clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[ActorSystem]:
    system = ActorSystem("tea", clock=clock, hooks=ActorReporter(metrics, Logger.get("tea")).hooks)
    system.register("kettle", Kettle, ActorOptions(idle=10.0, supervision=Supervision(backoff=0.0)))
    yield system
    drain = asyncio.create_task(system.drain(within=0))
    while not drain.done():
        await clock.advance(1)


async def test_an_actor_is_active_from_its_first_message_until_it_leaves_memory(
    system: ActorSystem, clock: FakeClock, metrics: MetricsCollector
) -> None:
    for key in ("a", "b"):
        await system.ref("kettle", key).ask("hello")
    assert metrics.value("cortex_actors_active", system="tea") == 2

    await system.stop(system.ref("kettle", "a"))
    assert metrics.value("cortex_actors_active", system="tea") == 1
    assert metrics.value("cortex_actors_terminated_total", system="tea", reason="asked") == 1

    await clock.advance(11)
    assert metrics.value("cortex_actors_active", system="tea") == 0
    assert metrics.value("cortex_actors_passivated_total", system="tea") == 1
    assert metrics.value("cortex_actors_started_total", system="tea") == 2


async def test_a_failure_is_counted_and_logged_with_its_traceback(
    system: ActorSystem, metrics: MetricsCollector, lines: io.StringIO
) -> None:
    with pytest.raises(LookupError):
        await system.ref("kettle", "a").ask(LookupError("dry"))
    await system.ref("kettle", "a").ask("again")

    assert metrics.value("cortex_actors_failures_total", system="tea", directive="restart") == 1
    assert metrics.value("cortex_actors_restarts_total", system="tea") == 1
    assert metrics.value("cortex_actors_active", system="tea") == 1
    [line] = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (line["event"], line["level"], line["actor"]) == ("an actor failed", "warning", "tea/kettle/a")
    assert "LookupError" in json.dumps(line["exception"])


async def test_a_failure_that_stops_an_actor_is_an_error_and_no_restart(
    system: ActorSystem, metrics: MetricsCollector, lines: io.StringIO
) -> None:
    options = ActorOptions(supervision=Supervision(decide=lambda _: Directive.STOP))
    ref = system.spawn(Kettle, "pot", options)
    ended = system.watch(ref)

    ref.tell(LookupError("dry"))
    await ended

    assert metrics.value("cortex_actors_failures_total", system="tea", directive="stop") == 1
    assert not metrics.value("cortex_actors_restarts_total", system="tea")
    assert metrics.value("cortex_actors_active", system="tea") == 0
    [line] = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert line["level"] == "error"


async def test_dead_letters_are_counted_by_their_reason_and_no_message_is_logged(
    system: ActorSystem, clock: FakeClock, metrics: MetricsCollector, lines: io.StringIO
) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ref = system.spawn(Kettle, "pot")
    ref.tell(gate)
    late = asyncio.create_task(ref.ask("canary", timeout=1.0))
    await clock.advance(2)
    with pytest.raises(AskTimeout):
        await late
    gate.set_result(None)
    await clock.advance(0)
    await system.stop(ref)
    ref.tell("canary")
    with pytest.raises(ActorStopped):
        await ref.ask("canary")

    assert metrics.value("cortex_actors_dead_letters_total", system="tea", reason="abandoned") == 1
    assert metrics.value("cortex_actors_dead_letters_total", system="tea", reason="stopped") == 1
    assert "canary" not in lines.getvalue()
