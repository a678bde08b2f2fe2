"""The limiter in memory: its bound on keys, and that the bound is no way out."""

import pytest

from cortex_core.ratelimit import FixedWindow, RateLimiter, RefusalDetails, SlidingWindow
from cortex_core.testing import FakeClock

from .conftest import RecordingHooks

PER_CLIENT = SlidingWindow(10, 60)


def take(limiter: RateLimiter, key: str, times: int) -> int:
    """How many of `times` calls were admitted."""
    return sum(limiter.decide((PER_CLIENT, key)).allowed for _ in range(times))


async def test_limiters_are_independent(clock: FakeClock) -> None:
    one, another = RateLimiter(clock=clock), RateLimiter(clock=clock)
    assert take(one, "client", 20) == 10

    assert take(another, "client", 20) == 10


async def test_a_decision_cannot_be_changed(clock: FakeClock) -> None:
    decision = RateLimiter(clock=clock).decide((PER_CLIENT, "client"))

    with pytest.raises(AttributeError):
        decision.allowed = False  # type: ignore[misc]


async def test_a_crowd_of_made_up_keys_takes_bounded_memory(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=100, clock=clock)

    for number in range(10_000):
        limiter.decide((PER_CLIENT, f"made up {number}"))

    assert limiter.keys == 100


async def test_a_crowd_of_made_up_keys_frees_nobody_who_is_limited(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=100, clock=clock)
    limited = [f"limited {number}" for number in range(50)]
    for key in limited:
        take(limiter, key, 10)

    for number in range(10_000):
        limiter.decide((PER_CLIENT, f"made up {number}"))

    assert sum(take(limiter, key, 1) for key in limited) == 0


async def test_where_everybody_is_limited_newcomers_share_one_limit(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=100, clock=clock)
    for number in range(100):
        take(limiter, f"limited {number}", 10)

    admitted = sum(take(limiter, f"newcomer {number}", 1) for number in range(1000))

    assert admitted == 10
    assert limiter.keys == 100
    assert limiter.decide((FixedWindow(3, 60, name="other"), "newcomer")).remaining == 2


async def test_a_newcomer_takes_the_place_of_who_has_used_least(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=16, clock=clock)
    for number in range(16):
        take(limiter, f"client {number}", 1 if number == 5 else 4)

    assert take(limiter, "newcomer", 1) == 1

    assert limiter.keys == 16
    assert take(limiter, "client 2", 10) == 6
    assert take(limiter, "client 5", 10) == 10


async def test_newcomers_soon_find_the_room_that_is_behind_those_who_are_limited(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=100, clock=clock)
    for number in range(100):
        take(limiter, f"client {number}", 1)
    for _, key in list(limiter._states)[:40]:
        take(limiter, key, 9)

    left = [limiter.decide((PER_CLIENT, f"newcomer {number}")).remaining for number in range(10)]

    assert left[4:] == [9] * 6


async def test_what_has_expired_goes_first(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=16, clock=clock)
    for number in range(16):
        take(limiter, f"old {number}", 10)
    await clock.advance(60)

    for number in range(16):
        assert take(limiter, f"new {number}", 20) == 10

    assert limiter.keys == 16


async def test_memory_goes_back_after_a_crowd(clock: FakeClock) -> None:
    limiter = RateLimiter(clock=clock)
    for number in range(3_000):
        take(limiter, f"crowd {number}", 1)
    await clock.advance(60)

    for number in range(3_100):
        take(limiter, f"regular {number % 10}", 1)
        limiter.decide((FixedWindow(5, 1, name="moment"), f"passer-by {number}"))
        await clock.advance(1)

    assert limiter.keys < 100


async def test_a_call_makes_no_room_by_forgetting_its_own_demands(clock: FakeClock) -> None:
    limiter = RateLimiter(max_keys=16, clock=clock)
    demands = [(FixedWindow(2, 60, name=f"policy-{number}"), "client") for number in range(8)]

    decisions = [limiter.decide(*demands) for _ in range(3)]

    assert [decision.allowed for decision in decisions] == [True, True, False]


async def test_a_call_sweeps_no_expired_state_that_it_charges(clock: FakeClock) -> None:
    """Found by the machine: the second key was new, and swept away the first one, whose window was just over."""
    limiter = RateLimiter(clock=clock)
    known, new = (FixedWindow(2, 60), "known"), (FixedWindow(9, 60), "new")
    limiter.decide(known)
    await clock.advance(60)

    decisions = [limiter.decide(known, new), *(limiter.decide(known) for _ in range(2))]

    assert [decision.allowed for decision in decisions] == [True, True, False]


async def test_a_refusal_is_told(clock: FakeClock, hooks: RecordingHooks) -> None:
    limiter = RateLimiter(clock=clock, hooks=hooks)
    take(limiter, "client", 10)
    await clock.advance(20)
    assert hooks.refusals == []

    await limiter.acquire((PER_CLIENT, "client"))

    assert hooks.refusals == [RefusalDetails("default", "memory", 40.0)]


async def test_a_hook_that_raises_changes_no_decision(
    clock: FakeClock, hooks: RecordingHooks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(details: RefusalDetails) -> None:
        raise RuntimeError

    monkeypatch.setattr(hooks, "on_refusal", broken)
    limiter = RateLimiter(clock=clock, hooks=hooks)

    assert take(limiter, "client", 11) == 10
    assert "a rate limit hook failed" in caplog.text


def test_too_few_keys_are_an_error() -> None:
    with pytest.raises(ValueError, match="max_keys must be at least 16"):
        RateLimiter(max_keys=15)


async def test_it_counts_by_the_machines_clock_if_no_other_is_given() -> None:
    limiter = RateLimiter()

    assert take(limiter, "client", 20) == 10
    await limiter.aclose()
