"""What headers say becomes context; what makes no sense is as good as absent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import RequestContext
from cortex_core.kernel.context import Context, current


async def seen(
    headers: dict[str, str | bytes], *, tenants: tuple[str, ...] | None = None
) -> tuple[Context, dict[bytes, bytes]]:
    """The context inside, and the headers that went out."""
    inside: list[Context] = []
    out: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append(current())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        out.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads the body here")

    raw = [(k.lower().encode(), v if isinstance(v, bytes) else v.encode("latin-1")) for k, v in headers.items()]
    scope = {"type": "http", "headers": raw, "method": "GET", "path": "/"}
    await RequestContext(app, tenants=tenants, monotonic=lambda: 100.0)(scope, receive, send)
    return inside[0], dict(out[0]["headers"])


async def test_a_request_id_is_passed_on_and_returned() -> None:
    context, out = await seen({"X-Request-Id": "abc-1"})

    assert context.request_id == "abc-1"
    assert out[b"x-request-id"] == b"abc-1"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "a\r\nb", "ä"])
async def test_a_request_id_that_is_not_safe_is_replaced(bad: str) -> None:
    context, out = await seen({"X-Request-Id": bad})

    assert context.request_id is not None
    assert context.request_id.startswith("req_")
    assert out[b"x-request-id"] == context.request_id.encode()


async def test_the_deadline_is_milliseconds_from_now() -> None:
    context, _ = await seen({"X-Request-Deadline": "1500"})

    assert context.deadline == 101.5


async def test_the_trace_is_the_callers() -> None:
    context, _ = await seen({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})

    assert context.trace is not None
    assert context.trace.trace_id == "a" * 32


async def test_the_tenant_is_taken_only_from_those_we_trust() -> None:
    stranger, _ = await seen({"X-Cortex-Tenant": "acme"})
    ours, _ = await seen({"X-Cortex-Tenant": "acme"}, tenants=("public", "acme"))

    assert (stranger.tenant, ours.tenant) == ("public", "acme")


@given(
    value=st.binary(max_size=80),
    name=st.sampled_from(["x-request-id", "traceparent", "x-request-deadline", "x-cortex-tenant"]),
)
async def test_no_header_value_raises(value: bytes, name: str) -> None:
    await seen({name: value}, tenants=("public", "acme"))
