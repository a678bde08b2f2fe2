"""Votes in a real Redis: who convinces whom, how long, and what becomes of the dead, the wiped and the away."""

import itertools
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortex_core.resilience import BallotUnavailable
from cortex_core.resilience.redis import RedisBallot
from cortex_core.testing import RedisServer, eventually, free_port

MEMBERS, VOTES, SINCE = (f"cortex:circuit:{{payments}}:{part}" for part in ("members", "votes", "since"))
MakeBallot = Callable[..., RedisBallot]


async def test_one_that_alone_sees_failures_convinces_nobody(make: MakeBallot, of_age: Any) -> None:
    bad, *good = (make(name) for name in ("bad", "one", "two"))
    of_age()
    for ballot in good:
        await ballot.cast(0)

    assert await bad.cast(30) == 0
    assert [await ballot.cast(0) for ballot in good] == [0, 0]


async def test_nor_does_one_of_two(make: MakeBallot, of_age: Any) -> None:
    bad, good = make("bad"), make("good")
    of_age()
    await good.cast(0)

    assert await bad.cast(30) == 0
    assert await good.cast(0) == 0


async def test_more_than_half_convince_the_rest_for_as_long_as_they_are_so_many(make: MakeBallot, of_age: Any) -> None:
    ballots = [make(name) for name in ("a", "b", "c", "d", "e")]
    of_age()
    for ballot in ballots:
        await ballot.cast(0)

    for ballot, seconds in zip(ballots[:3], (3000, 1000, 2000), strict=True):
        await ballot.cast(seconds)

    for ballot in ballots[3:]:
        assert await ballot.cast(0) == pytest.approx(1000, abs=100)  # then only two of five are left


async def test_a_quorum_may_be_a_number(make: MakeBallot, of_age: Any) -> None:
    ballots = [make(name, quorum=2) for name in ("a", "b", "c", "d", "e")]
    of_age()
    for ballot in ballots:
        await ballot.cast(0)

    assert await ballots[0].cast(3000) == 0
    assert await ballots[1].cast(2000) == pytest.approx(2000, abs=100)
    assert await ballots[4].cast(0) == pytest.approx(2000, abs=100)


async def test_a_vote_can_be_taken_back(make: MakeBallot, of_age: Any) -> None:
    one, other = make("one"), make("other")
    of_age()
    await one.cast(30)
    assert await other.cast(30) > 0

    await one.cast(0)

    assert await other.cast(30) == 0


async def test_a_vote_ends_with_its_time(make: MakeBallot, of_age: Any, redis_server: RedisServer) -> None:
    one, other = make("one"), make("other")
    of_age()
    await one.cast(0.02)
    await other.cast(30)

    await eventually(lambda: _convinces_nobody(other))

    assert redis_server.command("ZRANGE", VOTES, "0", "-1") == ["other"]


async def test_the_dead_neither_vote_nor_count(make: MakeBallot, of_age: Any, redis_server: RedisServer) -> None:
    dead = [make(name) for name in ("dead", "late")]
    bad, good, other = (make(name) for name in ("bad", "good", "other"))
    of_age()
    for ballot in (*dead, bad):
        await ballot.cast(3600)
    for ballot in (good, other):
        await ballot.cast(0)
    assert await good.cast(0) > 0  # three of five

    for name in ("dead", "late"):  # as if they had been silent for their ttl
        redis_server.command("ZADD", MEMBERS, "1", name)

    assert await good.cast(0) == 0  # one of three
    assert redis_server.command("ZRANGE", VOTES, "0", "-1") == ["bad"]


async def test_a_replica_that_restarts_again_and_again_has_one_vote(make: MakeBallot, of_age: Any) -> None:
    good = [make(name) for name in ("one", "two", "three")]
    of_age()
    for ballot in good:
        await ballot.cast(0)

    for _ in range(5):
        assert await make("bad").cast(30) == 0

    assert await good[0].cast(0) == 0


async def test_who_leaves_takes_its_vote_along(make: MakeBallot, of_age: Any, redis_server: RedisServer) -> None:
    one, other = make("one"), make("other")
    of_age()
    await one.cast(30)
    await other.cast(30)

    await one.withdraw()

    assert redis_server.command("ZRANGE", VOTES, "0", "-1") == ["other"]
    assert redis_server.command("ZRANGE", MEMBERS, "0", "-1") == ["other"]


async def test_the_first_who_come_back_after_a_wipe_are_no_majority(
    make: MakeBallot, redis_server: RedisServer
) -> None:
    early = [make(name, ttl=3600.0) for name in ("one", "two")]
    redis_server.flush()

    assert [await ballot.cast(30) for ballot in early] == [0, 0]

    came_back(redis_server, seconds_ago=3000)
    assert [await ballot.cast(30) for ballot in early] == [0, 0]

    came_back(redis_server, seconds_ago=3601)  # nobody else has come for as long as anybody may be silent
    assert [await ballot.cast(30) > 0 for ballot in early] == [True, True]


async def test_circuits_and_namespaces_do_not_mix(make: MakeBallot, of_age: Any, redis_url: str) -> None:
    one = make("one")
    of_age()
    await one.cast(30)
    for stranger in (
        RedisBallot(redis_url, "stock", replica="other", timeout=60.0),
        RedisBallot(redis_url, "payments", replica="other", namespace="test", timeout=60.0),
    ):
        assert await stranger.cast(0) == 0
        await stranger.aclose()


async def test_nothing_is_left_in_redis_when_all_are_gone(make: MakeBallot, redis_server: RedisServer) -> None:
    await make("one", ttl=0.05).cast(3600)

    await eventually(lambda: redis_server.command("KEYS", "*") == [])


class TestAway:
    async def test_no_redis_is_told_as_what_it_is(self) -> None:
        ballot = RedisBallot(f"redis://:secret@127.0.0.1:{free_port()}/0", "payments")

        with pytest.raises(BallotUnavailable, match="Redis does not answer") as raised:
            await ballot.cast(0)
        assert "secret" not in str(raised.value)
        with pytest.raises(BallotUnavailable):
            await ballot.withdraw()
        await ballot.aclose()

    async def test_what_is_no_such_thing_in_redis_is_told_too(
        self, make: MakeBallot, redis_server: RedisServer
    ) -> None:
        redis_server.command("SET", MEMBERS, "something else")

        with pytest.raises(BallotUnavailable):
            await make("one").cast(0)

    async def test_one_that_hangs_is_waited_for_so_long_and_works_again_after(
        self, make: MakeBallot, of_age: Any, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ballot, other = make("one"), make("other")
        of_age()
        await ballot.cast(0)
        await other.cast(3000)
        redis_server.send_signal(signal.SIGSTOP)
        try:
            with monkeypatch.context() as hurried:  # before and after, a busy machine has its time
                hurried.setattr(ballot, "_timeout", 0.1)
                for _ in range(2):
                    with pytest.raises(BallotUnavailable):
                        await ballot.cast(3000)
        finally:
            redis_server.send_signal(signal.SIGCONT)

        assert await eventually(lambda: ballot.cast(2000)) == pytest.approx(2000, abs=100)


async def test_two_without_a_name_in_one_process_are_two(redis_url: str, of_age: Callable[[], None]) -> None:
    async with AsyncExitStack() as stack:
        bad, good = (RedisBallot(redis_url, "payments", ttl=600.0, timeout=60.0) for _ in range(2))
        for ballot in (bad, good):
            stack.push_async_callback(ballot.aclose)
        of_age()
        await good.cast(0)

        assert await bad.cast(30) == 0
        assert await good.cast(0) == 0


def test_a_name_that_is_made_up_is_the_same_after_a_restart(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """By the order in which the ballots of one circuit are made: a crash loop is to be one vote."""

    def process() -> list[str]:
        monkeypatch.setattr("cortex_core.resilience.redis._made", defaultdict(itertools.count))
        return [RedisBallot(redis_url, name)._replica for name in ("payments", "stock", "payments")]

    payments, stock, again = process()

    assert process() == [payments, stock, again]
    assert payments == stock != again


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"quorum": 0}, "quorum"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": float("inf")}, "ttl"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"url": "http://:secret@localhost"}, "url"),
    ],
)
def test_a_bad_argument_is_named_and_no_password_repeated(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        RedisBallot(**{"url": "redis://127.0.0.1", "name": "payments", **arguments})
    assert "secret" not in str(raised.value)


async def _convinces_nobody(ballot: RedisBallot) -> bool:
    return await ballot.cast(30) == 0


def came_back(redis_server: RedisServer, *, seconds_ago: int) -> None:
    """As if the first vote since the wipe had been cast then."""
    now = int(redis_server.command("TIME")[0])
    redis_server.command("SET", SINCE, str((now - seconds_ago) * 1000))
