"""What headers say becomes context; what makes no sense is as good as absent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import KnownTenant, RequestContext, UnknownTenant
from cortex_core.kernel.context import Context, current
from cortex_core.testing.exchange import exchange


async def seen(
    *headers: tuple[str, str | bytes], tenants: tuple[str, ...] | None = None
) -> tuple[Context, dict[bytes, bytes]]:
    """The context inside, and the headers that went out."""
    inside: list[Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append(current())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    answer = await exchange(RequestContext(app, tenants=tenants, monotonic=lambda: 100.0), headers=headers)
    return inside[0], dict(answer.headers)


async def test_a_request_id_is_passed_on_and_returned() -> None:
    context, out = await seen(("X-Request-Id", "abc-1"))

    assert context.request_id == "abc-1"
    assert out[b"x-request-id"] == b"abc-1"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "a\r\nb", "ä"])
async def test_a_request_id_that_is_not_safe_is_replaced(bad: str) -> None:
    context, out = await seen(("X-Request-Id", bad))

    assert context.request_id is not None
    assert context.request_id.startswith("req_")
    assert out[b"x-request-id"] == context.request_id.encode()


async def test_the_deadline_is_milliseconds_from_now() -> None:
    context, _ = await seen(("X-Request-Deadline", "1500"))

    assert context.deadline == 101.5


async def test_the_trace_is_the_callers() -> None:
    context, _ = await seen(("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"))

    assert context.trace is not None
    assert context.trace.trace_id == "a" * 32


async def test_the_tenant_is_taken_only_from_those_we_trust() -> None:
    stranger, _ = await seen(("X-Cortex-Tenant", "acme"))
    ours, _ = await seen(("X-Cortex-Tenant", "acme"), tenants=("public", "acme"))

    assert (stranger.tenant, ours.tenant) == ("public", "acme")


@given(
    value=st.binary(max_size=80),
    name=st.sampled_from(
        ["x-request-id", "traceparent", "tracestate", "x-request-deadline", "x-retry-budget", "x-cortex-tenant"]
    ),
)
async def test_no_header_value_raises(value: bytes, name: str) -> None:
    await seen((name, value), tenants=("public", "acme"))


@pytest.mark.parametrize(
    ("text", "tries"),
    [("0", 0.0), ("0.2", 0.2), ("0.125", 0.125), ("0.", 0.0), ("1", 1.0), ("1.000", 1.0)],
)
async def test_the_retry_budget_is_a_decimal_from_nothing_to_one_try(text: str, tries: float) -> None:
    context, _ = await seen(("X-Retry-Budget", text))

    assert context.retry_budget == tries


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-0.1",
        "+0.1",
        ".5",
        "7",
        "1.001",
        "0.1234",
        "1e9",
        "nan",
        "inf",
        "0,2",
        "0.2 ",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "1" * 10,
    ],
)
async def test_a_retry_budget_that_makes_no_sense_is_as_good_as_none(text: str) -> None:
    context, _ = await seen(("X-Retry-Budget", text.encode()))

    assert context.retry_budget is None


async def test_other_headers_say_nothing_and_nothing_is_known_but_an_id() -> None:
    context, out = await seen(("Accept", "*/*"), ("X-Request", "a"))

    assert context == Context(request_id=out[b"x-request-id"].decode())


class TestTwice:
    """Nobody knows which of the two was meant."""

    async def test_two_request_ids_are_none(self) -> None:
        context, out = await seen(("X-Request-Id", "a"), ("X-Request-Id", "b"))

        assert context.request_id is not None
        assert context.request_id.startswith("req_")
        assert out[b"x-request-id"] == context.request_id.encode()

    async def test_two_deadlines_and_two_budgets_are_none(self) -> None:
        context, _ = await seen(
            ("X-Request-Deadline", "1"),
            ("X-Request-Deadline", "2"),
            ("X-Retry-Budget", "0.1"),
            ("X-Retry-Budget", "0.1"),
        )

        assert (context.deadline, context.retry_budget) == (None, None)

    async def test_two_traces_are_none_as_the_specification_says(self) -> None:
        traces = [("traceparent", f"00-{digit * 32}-{'b' * 16}-01") for digit in "ac"]

        assert (await seen(*traces))[0].trace is None

    async def test_two_parts_of_a_tracestate_are_one(self) -> None:
        context, _ = await seen(
            ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("tracestate", "a=1"), ("tracestate", "b=2")
        )

        assert context.trace is not None
        assert context.trace.state == "a=1,b=2"


class TestTenants:
    @staticmethod
    def refusing() -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"x-tenant", current().tenant.encode())]}
            )

        return RequestContext(KnownTenant(app), tenants=("public", "acme"))

    async def test_one_that_is_served_here_is_taken(self) -> None:
        answer = await exchange(self.refusing(), headers=[("X-Cortex-Tenant", "acme")])

        assert answer.header("x-tenant") == "acme"

    async def test_one_that_is_said_twice_is_one(self) -> None:
        answer = await exchange(self.refusing(), headers=[("X-Cortex-Tenant", "acme"), ("X-Cortex-Tenant", "acme")])

        assert answer.header("x-tenant") == "acme"

    async def test_nobody_named_is_the_default(self) -> None:
        assert (await exchange(self.refusing())).header("x-tenant") == "public"

    @pytest.mark.parametrize("named", [["globex"], [""], ["acme", "public"], ["acme", "globex"], ["acme,public"]])
    async def test_anybody_else_is_refused(self, named: list[str]) -> None:
        with pytest.raises(UnknownTenant):
            await exchange(self.refusing(), headers=[("X-Cortex-Tenant", tenant) for tenant in named])


class TestAnswers:
    @pytest.mark.parametrize("kind", ["http.response.start", "websocket.accept", "websocket.http.response.start"])
    async def test_every_answer_has_the_id_of_its_request_and_no_other(self, kind: str) -> None:
        message = {"type": kind, "headers": [(b"x-request-id", b"the application's"), (b"x-a", b"b")]}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(message)

        answer = await exchange(RequestContext(app), headers=[("X-Request-Id", "r-1")])

        assert answer.headers == [(b"x-a", b"b"), (b"x-request-id", b"r-1")]
        assert message["headers"] == [(b"x-request-id", b"the application's"), (b"x-a", b"b")]

    async def test_an_answer_without_headers_gets_it_too(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})

        answer = await exchange(RequestContext(app), type="websocket", headers=[("X-Request-Id", "r-1")])

        assert answer.headers == [(b"x-request-id", b"r-1")]

    async def test_other_messages_pass_as_they_are(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.body", "body": b"a"})

        assert (await exchange(RequestContext(app))).messages == [{"type": "http.response.body", "body": b"a"}]

    async def test_a_lifespan_has_no_context(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "lifespan.startup.complete", "context": current()})

        answer = await exchange(RequestContext(app), type="lifespan")

        assert answer.messages == [{"type": "lifespan.startup.complete", "context": Context()}]
