"""The script against the algorithms in memory: the same calls at the same moments have the same answers, to the
microsecond. Its clock is set by hand; all else is the script as it is."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortex_core.ratelimit import FixedWindow, Policy, SlidingWindow, TokenBucket
from cortex_core.ratelimit.redis.commands import _terms
from cortex_core.ratelimit.redis.scripts import DECIDE, EPOCH
from cortex_core.ratelimit.windows import State, state_of
from cortex_core.testing import RedisServer

BY_HAND = DECIDE.replace("call('TIME')", "{table.remove(ARGV, #ARGV - 1), table.remove(ARGV)}")
POLICIES = [
    FixedWindow(4, 1.0),
    SlidingWindow(4, 1.0),
    SlidingWindow(128, 1.0),
    SlidingWindow(200, 1.0),
    TokenBucket(4, 5),
    TokenBucket(200, 40),
]

Call = tuple[int, int, Sequence[tuple[int, str]]]

CALLS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20_000), st.integers(0, 1_500_000)),
        st.integers(1, 4),
        st.lists(
            st.tuples(st.integers(0, len(POLICIES) - 1), st.sampled_from("ab")), min_size=1, max_size=3, unique=True
        ),
    ),
    max_size=60,
)


def ask(server: RedisServer, now: int, cost: int, demands: Sequence[tuple[Policy, str]]) -> list[int]:
    """`now` in microseconds since EPOCH."""
    seconds, microseconds = divmod(now, 1_000_000)
    keys = [f"{policy.id}:{key}" for policy, key in demands]
    terms = [word for policy, _ in demands for word in _terms(policy)]
    clock = str(EPOCH + seconds), str(microseconds)
    reply = server.command("EVAL", BY_HAND, str(len(keys)), *keys, str(cost), *terms, *clock)
    assert isinstance(reply, list)
    return reply


def ask_each(server: RedisServer, now: int, cost: int, policy: Policy, names: Sequence[str]) -> list[int]:
    """A call for each name, in one script."""
    seconds, microseconds = divmod(now, 1_000_000)
    keys = [f"{policy.id}:{name}" for name in names]
    clock = str(EPOCH + seconds), str(microseconds)
    reply = server.command("EVAL", BY_HAND, str(len(keys)), *keys, str(cost), *_terms(policy), *clock)
    assert isinstance(reply, list)
    return reply


class InMemory:
    def __init__(self) -> None:
        self.states: dict[str, State] = {}

    def ask(self, now: int, cost: int, demands: Sequence[tuple[Policy, str]]) -> list[int]:
        now *= 1000
        states = [self.states.setdefault(f"{policy.id}:{key}", state_of(policy)) for policy, key in demands]
        waits = [state.wait(now, cost) for state in states]
        if not any(waits):
            for state in states:
                state.charge(now, cost)
        answer = []
        for state, wait in zip(states, waits, strict=True):
            answer += [state.remaining(now), -(-max(0, state.resets_at - now) // 1000), -(-wait // 1000)]
        return answer


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_lua_and_python_agree(redis_server: RedisServer, redis_url: str, calls: Sequence[Call]) -> None:
    redis_server.flush()
    memory, now = InMemory(), 36_000_000_000_000
    for passed, cost, chosen in calls:
        now += passed
        demands = [(POLICIES[number], key) for number, key in chosen]

        assert ask(redis_server, now, cost, demands) == memory.ask(now, cost, demands)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 20_000), st.integers(0, 1_500_000)),
            st.integers(1, 4),
            st.integers(0, len(POLICIES) - 1),
            st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
        ),
        max_size=40,
    )
)
def test_calls_in_one_script_are_decided_one_after_the_other(
    redis_server: RedisServer, redis_url: str, calls: Sequence[tuple[int, int, int, Sequence[str]]]
) -> None:
    redis_server.flush()
    memory, now = InMemory(), 36_000_000_000_000
    for passed, cost, number, names in calls:
        now += passed
        policy = POLICIES[number]
        by_itself = [figure for name in names for figure in memory.ask(now, cost, [(policy, name)])]

        assert ask_each(redis_server, now, cost, policy, names) == by_itself


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_a_call_fits_at_the_edge_and_not_a_microsecond_before(
    redis_server: RedisServer, redis_url: str, policy: Policy
) -> None:
    now = 36_000_000_250_000
    ask(redis_server, now, policy.limit, [(policy, "client")])

    wait = ask(redis_server, now, 1, [(policy, "client")])[2]

    assert wait > 0
    assert ask(redis_server, now + wait - 1, 1, [(policy, "client")])[2] == 1
    remaining, _, wait_then = ask(redis_server, now + wait, 1, [(policy, "client")])
    assert (remaining >= 0, wait_then) == (True, 0)


def test_an_entry_leaves_at_its_microsecond_and_the_next_one_stays(redis_server: RedisServer, redis_url: str) -> None:
    now, demand = 36_000_000_000_000, [(SlidingWindow(4, 1.0), "client")]
    ask(redis_server, now, 2, demand)
    ask(redis_server, now + 700, 2, demand)

    refused = [ask(redis_server, now + 1_000_000, 3, demand) for _ in range(3)]

    assert refused == [[2, 700, 700]] * 3
    assert ask(redis_server, now + 1_000_000, 2, demand) == [0, 1_000_000, 0]


def test_a_window_that_all_have_left_begins_anew(redis_server: RedisServer, redis_url: str) -> None:
    now, policy = 36_000_000_000_000, SlidingWindow(4, 1.0)
    for step in (0, 1):
        ask(redis_server, now + step, 2, [(policy, "client")])

    assert ask(redis_server, now + 1_000_001, 4, [(policy, "client")]) == [0, 1_000_000, 0]
    assert ask(redis_server, now + 1_000_002, 1, [(policy, "client")]) == [0, 999_999, 999_999]
    assert redis_server.command("LLEN", f"{policy.id}:client") == 1


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_every_key_expires_once_it_is_as_good_as_new(redis_server: RedisServer, redis_url: str, policy: Policy) -> None:
    for step in range(3):
        reset = ask(redis_server, 36_000_000_000_000 + step, 1, [(policy, "client")])[1]

        left = redis_server.command("PTTL", f"{policy.id}:client")

        assert reset // 1000 <= left <= reset // 1000 + 1001


def test_a_refused_call_writes_nothing(redis_server: RedisServer, redis_url: str) -> None:
    both = [(TokenBucket(1, 4), "tenant"), (SlidingWindow(2, 1000.0), "user")]

    replies = [ask(redis_server, 36_000_000_000_000, 2, both) for _ in range(3)]

    assert [reply[0] for reply in replies] == [2, 2, 2]


@pytest.mark.parametrize(("limit", "most"), [(128, 129), (129, 67), (10**9, 67)])
def test_a_sliding_window_takes_bounded_memory(
    redis_server: RedisServer, redis_url: str, limit: int, most: int
) -> None:
    policy = SlidingWindow(limit, 1.0)
    for number in range(1000):
        ask(redis_server, 36_000_000_000_000 + number * 3137, 1, [(policy, "client")])

    assert int(redis_server.command("LLEN", f"{policy.id}:client")) <= most


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_a_clock_put_back_refuses_rather_than_admits(redis_server: RedisServer, redis_url: str, policy: Policy) -> None:
    """Redis' own clock may be corrected, too."""
    now = 36_000_000_000_000
    ask(redis_server, now, policy.limit, [(policy, "client")])

    remaining, _, wait = ask(redis_server, now - 500_000, 1, [(policy, "client")])

    assert (remaining, wait > 0) == (0, True)


def test_what_is_admitted_after_a_clock_was_put_back_leaves_no_sooner_than_the_rest(
    redis_server: RedisServer, redis_url: str
) -> None:
    """The entries stay in order: what has left is read from the first of them."""
    now, demand = 36_000_000_000_000, [(SlidingWindow(4, 1.0), "client")]
    ask(redis_server, now, 2, demand)

    _, reset, _ = ask(redis_server, now - 500_000, 1, demand)

    assert reset == 1_500_000
    assert ask(redis_server, now + 999_999, 4, demand)[2] == 1
    assert ask(redis_server, now + 1_000_000, 4, demand)[2] == 0


def steady(ask_at: Callable[[int], bool], limit: int, seconds: int) -> int:
    """How many calls of a client pass that asks at twice its limit a second, without ever pausing."""
    step = 1_000_000 // (2 * limit)
    return sum(ask_at(36_000_000_000_000 + call * step) for call in range(2 * limit * seconds))


@pytest.mark.parametrize("limit", [50, 200], ids=["exact", "in parts"])
def test_a_steady_client_at_twice_its_limit_gets_its_fair_share(
    redis_server: RedisServer, redis_url: str, limit: int
) -> None:
    policy, seconds = SlidingWindow(limit, 1.0), 8

    admitted = steady(lambda now: ask(redis_server, now, 1, [(policy, "client")])[2] == 0, limit, seconds)

    assert 0.98 * limit * seconds <= admitted <= limit * (seconds + 1)


def test_control_the_plans_own_locks_that_client_out(redis_server: RedisServer, redis_url: str) -> None:
    """It records a call before it counts, so the refused ones keep the window full."""

    def naive(now: int) -> bool:
        redis_server.command("ZREMRANGEBYSCORE", "naive", "0", str(now - 1_000_000))
        redis_server.command("ZADD", "naive", str(now), str(now))
        return int(redis_server.command("ZCARD", "naive")) <= 50

    assert steady(naive, limit=50, seconds=8) == 50
