"""A circuit for who cannot await: a permit to begin, and a word at the end."""

import pytest

from cortex_core.resilience import CircuitBreaker, CircuitOpenError
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(2, 5.0, clock=clock)


def test_failures_open_it_and_then_there_is_no_permit(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.permit().failed(ConnectionError())

    with pytest.raises(CircuitOpenError):
        breaker.permit()


def test_a_success_breaks_the_row(breaker: CircuitBreaker) -> None:
    breaker.permit().failed(ConnectionError())
    breaker.permit().succeeded()
    breaker.permit().failed(ConnectionError())

    breaker.permit()


def test_a_permit_ends_once(breaker: CircuitBreaker) -> None:
    permit = breaker.permit()
    permit.failed(ConnectionError())
    permit.failed(ConnectionError())
    permit.neutral()

    breaker.permit()


def test_a_probe_that_says_nothing_gives_its_place_to_another(breaker: CircuitBreaker, clock: FakeClock) -> None:
    for _ in range(2):
        breaker.permit().failed(ConnectionError())
    clock.pause(5.0)

    probe = breaker.permit()
    with pytest.raises(CircuitOpenError):
        breaker.permit()
    probe.neutral()

    breaker.permit().succeeded()
    assert breaker.state == "closed"
