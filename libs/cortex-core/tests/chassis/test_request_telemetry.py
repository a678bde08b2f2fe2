"""What a request leaves behind, sampled or not: its place in the trace, its span, and one word to who listens."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cortex_core.asgi import ResponseDetails
from cortex_core.chassis.telemetry import RequestTelemetry
from cortex_core.kernel import TraceContext, current, use_context
from cortex_core.observability import Tracer
from cortex_core.observability.exporters import InMemoryExporter

CALLER = TraceContext("ab" * 16, "cd" * 8, sampled=True, state="vendor=1")
SCOPE = {"type": "http", "method": "GET", "path": "/things/1", "headers": []}


class Service:
    """An application within the middleware, and what came of it."""

    def __init__(self, ratio: float = 1.0, *, exports: bool = True) -> None:
        self.exporter = InMemoryExporter()
        self.tracer = Tracer("tea", exporter=self.exporter if exports else None, sample_ratio=ratio)
        self.details: list[ResponseDetails] = []
        self.inside: list[TraceContext] = []
        self.fails: BaseException | None = None
        self.hook: Callable[[ResponseDetails], None] = self.details.append

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        here = current().trace
        assert here is not None
        self.inside.append(here)
        scope["cortex.route"] = "/things/{id}"
        if self.fails is not None:
            raise self.fails
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"abc"})

    async def ask(self, parent: TraceContext | None = None) -> None:
        async def nothing(*_: Any) -> Any: ...

        with use_context(trace=parent, tenant="acme"):
            before = current()
            try:
                await RequestTelemetry(self.app, self.tracer, self.hook)(dict(SCOPE), nothing, nothing)
            finally:
                assert current() is before

    def spans(self) -> list[Any]:
        self.tracer.force_flush()
        return list(self.exporter.spans)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("exports", [True, False])
@pytest.mark.parametrize("parent", [None, CALLER, TraceContext("ab" * 16, "cd" * 8, sampled=False, state="vendor=1")])
async def test_context_within_is_the_requests_place(ratio: float, exports: bool, parent: TraceContext | None) -> None:
    service = Service(ratio, exports=exports)

    await service.ask(parent)

    (inside,), sampled = service.inside, ratio == 1.0 if parent is None else parent.sampled
    assert (len(inside.trace_id), len(inside.span_id), inside.sampled) == (32, 16, sampled)
    assert len(service.spans()) == (sampled and exports)
    if parent is not None:
        assert (inside.trace_id, inside.state) == (parent.trace_id, parent.state)
        assert inside.span_id != parent.span_id


async def test_the_span_tells_of_the_answer_and_is_the_place_that_was_within() -> None:
    service = Service()

    await service.ask(CALLER)

    (span,), (inside,) = service.spans(), service.inside
    assert span.name == "GET /things/{id}"
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "cortex.tenant": "acme",
        "http.route": "/things/{id}",
        "http.response.status_code": 201,
    }
    assert f"{span.parent.span_id:016x}" == CALLER.span_id
    assert (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}") == (inside.trace_id, inside.span_id)


async def test_traces_that_begin_here_are_sampled_once_by_the_ratio() -> None:
    service = Service(0.5)

    for _ in range(400):
        await service.ask()

    recorded = {f"{span.context.trace_id:032x}" for span in service.spans()}
    assert recorded == {each.trace_id for each in service.inside if each.sampled}
    assert 120 < len(recorded) < 280  # eight standard deviations; a decision made twice is a hundred
    assert len({each.trace_id for each in service.inside}) == len({each.span_id for each in service.inside}) == 400


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_who_listens_hears_once_whatever_the_end(ratio: float) -> None:
    service = Service(ratio)

    await service.ask()
    for service.fails in (ValueError("boiled dry"), asyncio.CancelledError()):
        with pytest.raises(type(service.fails)):
            await service.ask()

    told = [(each.route, each.status, each.size, each.complete) for each in service.details]
    assert told == [
        ("/things/{id}", 201, 3, True),
        ("/things/{id}", 500, 0, False),
        ("/things/{id}", 499, 0, False),
    ]


async def test_an_error_is_in_the_span_and_a_cancellation_is_none() -> None:
    service = Service()

    for service.fails in (ValueError("boiled dry"), asyncio.CancelledError()):
        with pytest.raises(type(service.fails)):
            await service.ask()

    failed, cancelled = service.spans()
    assert (failed.status.is_ok, [each.name for each in failed.events]) == (False, ["exception"])
    assert (cancelled.status.is_ok, [each.name for each in cancelled.events]) == (True, ["cancelled"])


async def test_a_listener_that_fails_costs_nobody_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(0.0)

    def failing(details: ResponseDetails) -> None:
        raise OSError("the disk is full")

    service.hook = failing
    await service.ask()

    assert "the disk is full" in caplog.text


async def test_a_socket_has_a_trace_and_no_span_and_nobody_is_told() -> None:
    service = Service()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        here = current().trace
        assert here is not None
        service.inside.append(here)

    for parent in (CALLER, None):
        with use_context(trace=parent):
            await RequestTelemetry(app, service.tracer, service.hook)({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    assert service.inside[0] == CALLER
    assert not service.inside[1].sampled
    assert (service.spans(), service.details) == ([], [])
