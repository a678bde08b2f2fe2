"""The same headers, as bytes to be filled in: for who answers without messages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import HeaderPolicy
from cortex_core.asgi.rate_limit import limit_headers, limit_template
from cortex_core.asgi.security_headers import fixed_fields
from cortex_core.chassis.docs import HEADERS
from cortex_core.ratelimit import FixedWindow, SlidingWindow, TokenBucket
from cortex_core.ratelimit.limiter import Decision

POLICIES = [SlidingWindow(100, 60.0), FixedWindow(7, 1.5, "burst"), TokenBucket(2.0, 10, name="a.b-c_d")]


@given(
    policies=st.lists(st.sampled_from(POLICIES), min_size=1, max_size=3),
    remaining=st.integers(-1, 1000),
    reset=st.floats(0, 1e6),
    now=st.floats(0, 2e9),
)
def test_a_filled_template_is_the_headers(
    policies: list[SlidingWindow | FixedWindow | TokenBucket], remaining: int, reset: float, now: float
) -> None:
    decided = policies[-1]
    decision = Decision(True, decided, decided.limit, remaining, reset, 0.0)
    left = max(0, remaining)

    filled = limit_template(policies, decision) % (left, math.ceil(now + reset), left, math.ceil(reset))

    assert filled == b"".join(b"%b: %b\r\n" % pair for pair in limit_headers(policies, decision, now))


def test_a_policy_with_a_nonce_has_no_fixed_fields() -> None:
    (page,) = [policy for policy in HEADERS.values() if any(each.uses_nonce for each in policy.policies)][:1]
    with pytest.raises(ValueError, match="nonce"):
        fixed_fields(page, secure=False)


@pytest.mark.parametrize("secure", [False, True])
def test_hsts_is_among_them_where_it_is_safe(secure: bool) -> None:
    names = {name for name, _ in fixed_fields(HeaderPolicy(), secure=secure)}
    assert (b"strict-transport-security" in names) == secure
