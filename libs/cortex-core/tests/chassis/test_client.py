"""The service client passes the context on, and never waits longer than it may."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.asgi.types import Receive, Scope, Send
from cortex_core.chassis import ServiceClient, UpstreamTimeout, UpstreamUnavailable
from cortex_core.kernel import TraceContext, use_context
from cortex_core.testing import free_port, serving


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which headers came; `/never` says nothing."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    if scope["path"] == "/never":
        await receive()
        await receive()  # the caller has left
        return
    body = b"\n".join(name + b": " + value for name, value in scope["headers"])
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def client() -> AsyncIterator[ServiceClient]:
    client = ServiceClient()
    yield client
    await client.aclose()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    session: ClientSession
    async with serving(upstream) as session:
        base: Any = session._base_url
        yield str(base).rstrip("/")


@pytest.mark.parametrize("as_caller", [True, False])
async def test_for_whom_we_ask_is_told_to_a_service_of_ours_alone(
    client: ServiceClient, url: str, as_caller: bool
) -> None:
    """The same client talks to the payment provider, and whoever has the token can ask as the caller."""
    with use_context(principal_token="a.b.c"):
        reply = await client.request("GET", f"{url}/", as_caller=as_caller)

    assert (b"x-cortex-principal: a.b.c" in reply.body) == as_caller


async def test_the_context_goes_with_the_call(client: ServiceClient, url: str) -> None:
    trace = TraceContext("a" * 32, "b" * 16)

    with use_context(trace=trace, tenant="acme", request_id="r-1", deadline=time.monotonic() + 0.9):
        reply = await client.request("GET", f"{url}/", timeout=5)

    headers = dict(line.split(": ", 1) for line in reply.body.decode().split("\n"))
    sent = TraceContext.parse(headers["traceparent"])
    assert sent is not None
    assert (sent.trace_id, sent.span_id == trace.span_id) == (trace.trace_id, False)  # the call is a span of its own
    assert (headers["x-cortex-tenant"], headers["x-request-id"]) == ("acme", "r-1")
    assert 0 < int(headers["x-request-deadline"]) <= 900


async def test_silence_is_a_timeout(client: ServiceClient, url: str) -> None:
    with pytest.raises(UpstreamTimeout) as caught:
        await client.request("GET", f"{url}/never", timeout=0.1)

    assert caught.value.retryable


async def test_the_requests_deadline_is_nearer_than_the_timeout(client: ServiceClient, url: str) -> None:
    with use_context(deadline=time.monotonic() + 0.05), pytest.raises(UpstreamTimeout):
        await client.request("GET", f"{url}/never", timeout=60)


async def test_after_the_deadline_nobody_is_called(client: ServiceClient) -> None:
    with use_context(deadline=time.monotonic() - 1), pytest.raises(UpstreamTimeout, match="has passed"):
        await client.request("GET", f"http://127.0.0.1:{free_port()}/")


async def test_a_closed_port_is_unavailable(client: ServiceClient) -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        await client.request("GET", f"http://127.0.0.1:{free_port()}/")

    assert caught.value.retryable
