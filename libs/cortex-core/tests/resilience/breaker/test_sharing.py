"""SharedCircuit: what it votes, whom it follows, and that it disturbs nobody while the ballot is away."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator

import pytest

from cortex_core.resilience import (
    BallotUnavailable,
    CircuitBreaker,
    CircuitCause,
    CircuitState,
    SharedCircuit,
    SharingDetails,
)
from cortex_core.testing import FakeClock


class Urn:
    """A `Ballot` of which the test says what it agrees on."""

    def __init__(self) -> None:
        self.cast_votes: list[float] = []
        self.agreed = 0.0
        self.away = False
        self.ended: list[str] = []

    async def cast(self, seconds: float) -> float:
        if self.away:
            raise BallotUnavailable("away")
        self.cast_votes.append(seconds)
        return self.agreed

    async def withdraw(self) -> None:
        self.ended.append("withdrawn")
        if self.away:
            raise BallotUnavailable("away")

    async def aclose(self) -> None:
        self.ended.append("closed")


@pytest.fixture
def urn() -> Urn:
    return Urn()


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(1, 5.0, name="payments", clock=clock)


@pytest.fixture
async def heard() -> list[SharingDetails]:
    return []


@pytest.fixture
async def shared(
    breaker: CircuitBreaker, urn: Urn, clock: FakeClock, heard: list[SharingDetails]
) -> AsyncIterator[SharedCircuit]:
    async with SharedCircuit(breaker, urn, interval=0.5, clock=clock, on_sharing=heard.append) as shared:
        await clock.advance(0.0)
        yield shared


def fail(breaker: CircuitBreaker) -> None:
    with pytest.raises(ConnectionError), breaker:
        raise ConnectionError("down")


async def test_it_says_again_and_again_that_it_lives(shared: SharedCircuit, urn: Urn, clock: FakeClock) -> None:
    await clock.advance(1.0)

    assert urn.cast_votes == [0.0, 0.0, 0.0]


async def test_it_votes_at_once_and_for_the_time_that_is_left(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    fail(breaker)
    await clock.advance(0.0)
    assert urn.cast_votes == [0.0, 5.0]

    await clock.advance(1.0)
    assert urn.cast_votes == [0.0, 5.0, 4.5, 4.0]


async def test_a_vote_is_over_when_the_circuit_is_closed_again(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    fail(breaker)
    await clock.advance(0.0)

    breaker.reset()
    await clock.advance(0.0)

    assert urn.cast_votes == [0.0, 5.0, 0.0]


async def test_it_follows_a_quorum_for_as_long_as_that_agrees(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    urn.agreed = 3.0

    await clock.advance(0.5)

    assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.TOLD)
    assert breaker.opened_until == clock.monotonic() + 3.0


async def test_a_follower_has_no_vote(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    urn.agreed = 3.0

    await clock.advance(2.0)

    assert breaker.state is CircuitState.OPEN
    assert set(urn.cast_votes) == {0.0}


async def test_a_reset_lasts_until_the_next_vote_while_the_quorum_stands(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    urn.agreed = 3.0
    await clock.advance(0.5)

    breaker.reset()
    await clock.advance(0.0)
    assert breaker.state is CircuitState.OPEN

    breaker.force_close()
    await clock.advance(0.5)
    assert breaker.state is CircuitState.CLOSED


async def test_nor_has_a_hand(shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock) -> None:
    breaker.force_open()

    await clock.advance(1.0)

    assert set(urn.cast_votes) == {0.0}


async def test_what_time_has_ended_is_no_vote_even_if_nobody_has_called_since(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    fail(breaker)

    await clock.advance(60.0)

    assert (breaker.state, urn.cast_votes[-1]) == (CircuitState.OPEN, 0.0)


async def test_while_the_ballot_is_away_the_breaker_goes_by_itself(
    shared: SharedCircuit,
    breaker: CircuitBreaker,
    urn: Urn,
    clock: FakeClock,
    heard: list[SharingDetails],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    urn.away, urn.agreed = True, 3.0

    await clock.advance(5.0)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    breaker.reset()
    urn.away = False
    await clock.advance(0.5)

    assert breaker.state is CircuitState.OPEN
    assert [type(details.error) for details in heard] == [BallotUnavailable, type(None)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_whatever_goes_wrong_it_goes_on(
    shared: SharedCircuit, urn: Urn, clock: FakeClock, heard: list[SharingDetails], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(seconds: float) -> float:
        raise ZeroDivisionError("nobody thought of this")

    with monkeypatch.context() as patched:
        patched.setattr(urn, "cast", broken)
        await clock.advance(1.0)
    await clock.advance(0.5)

    assert [type(details.error) for details in heard] == [ZeroDivisionError, type(None)]


async def test_a_thread_that_opens_the_circuit_is_heard_too(
    shared: SharedCircuit, breaker: CircuitBreaker, urn: Urn, clock: FakeClock
) -> None:
    await asyncio.to_thread(fail, breaker)
    await clock.advance(0.0)

    assert urn.cast_votes == [0.0, 5.0]


@pytest.mark.parametrize("away", [False, True])
async def test_in_the_end_its_vote_is_withdrawn(
    breaker: CircuitBreaker, urn: Urn, clock: FakeClock, away: bool
) -> None:
    async with SharedCircuit(breaker, urn, clock=clock):
        await clock.advance(0.0)
        urn.away = away
    breaker.force_open()
    await clock.advance(5.0)

    assert urn.ended == ["withdrawn", "closed"]
    assert urn.cast_votes == [0.0]
    assert clock.sleepers == 0


def test_after_that_the_breaker_tells_it_nothing(
    breaker: CircuitBreaker, urn: Urn, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def shared_for_a_while() -> None:
        async with SharedCircuit(breaker, urn, clock=clock):
            await clock.advance(0.0)

    asyncio.run(shared_for_a_while())
    breaker.force_open()

    assert caplog.records == []  # of a hook that failed, since its loop is closed


async def test_left_without_having_been_entered_it_does_nothing(breaker: CircuitBreaker, urn: Urn) -> None:
    await SharedCircuit(breaker, urn).__aexit__(None, None, None)

    assert urn.ended == []


@pytest.mark.parametrize("interval", [0, -1.0, math.inf, math.nan])
def test_a_bad_interval_is_named(breaker: CircuitBreaker, urn: Urn, interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        SharedCircuit(breaker, urn, interval=interval)
