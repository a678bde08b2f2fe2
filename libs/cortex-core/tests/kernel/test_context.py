"""What travels with the work, and W3C trace-context as text."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cortex_core.kernel import Context, Principal, TraceContext, current, use_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_traceparent_is_read_and_written_as_the_specification_says() -> None:
    trace = TraceContext.parse(f"00-{TRACE}-{SPAN}-01", "vendor=1")

    assert trace == TraceContext(TRACE, SPAN, sampled=True, state="vendor=1")
    assert trace.traceparent == f"00-{TRACE}-{SPAN}-01"


def test_only_the_lowest_flag_means_sampled() -> None:
    for flags, sampled in (("00", False), ("01", True), ("02", False), ("03", True)):
        assert TraceContext.parse(f"00-{TRACE}-{SPAN}-{flags}") == TraceContext(TRACE, SPAN, sampled=sampled)


def test_a_later_version_may_say_more() -> None:
    assert TraceContext.parse(f"01-{TRACE}-{SPAN}-01-what-comes-later") == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-\u0661\u0661",  # digits to Unicode, not to the specification
    ],
)
def test_what_the_specification_refuses_starts_a_new_trace(header: str | None) -> None:
    assert TraceContext.parse(header) is None


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", fullmatch=True))
@example(f"00-{TRACE}-{SPAN}-01")
def test_no_header_makes_the_parser_raise_and_what_it_takes_it_gives_back(header: str) -> None:
    trace = TraceContext.parse(header)

    assert trace is None or TraceContext.parse(trace.traceparent) == trace


def test_a_new_trace_is_valid_and_its_own() -> None:
    one, other = TraceContext.new(), TraceContext.new()

    assert TraceContext.parse(one.traceparent) == one
    assert one.trace_id != other.trace_id


def test_outside_of_any_work_the_context_is_empty() -> None:
    assert current() == Context(trace=None, tenant="public", principal=None, request_id=None, deadline=None)


def test_a_context_holds_for_its_block_and_keeps_what_it_does_not_change() -> None:
    with use_context(tenant="acme", request_id="req_1"):
        with use_context(tenant="other"):
            assert (current().tenant, current().request_id) == ("other", "req_1")
        assert current().tenant == "acme"
    assert current().tenant == "public"


def test_a_context_ends_with_its_block_when_an_error_leaves_it() -> None:
    with pytest.raises(LookupError), use_context(tenant="acme"):
        raise LookupError

    assert current().tenant == "public"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="tennant"), use_context(tennant="acme"):
        pass


async def test_a_task_inherits_the_context_and_keeps_its_changes_to_itself() -> None:
    async def child() -> str:
        with use_context(principal=Principal("ann")):
            await asyncio.sleep(0)
            return current().tenant

    with use_context(tenant="acme"):
        assert await asyncio.create_task(child()) == "acme"
        assert current().principal is None
