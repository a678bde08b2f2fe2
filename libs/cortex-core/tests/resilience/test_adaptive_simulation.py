"""The adaptive limit in front of a server that queues: where it settles, what overload costs, how it follows.

What a caller who has left asked for is worked on all the same: that is why an overloaded server ends up working for
nobody. The simulation runs on a FakeClock, event by event, without an event loop: minutes take a second.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from cortex_core.resilience import AdaptiveLimit, OverLimit, Place
from cortex_core.testing import FakeClock


@dataclass(eq=False)
class Call:
    place: Place | None
    left: bool = False


@dataclass
class SimulatedServer:
    """A number of workers, a time each call takes, callers who leave when they have waited for `patience` seconds.

    `capacity` in calls a second is workers / seconds. Both may be changed between two `run`s.
    """

    clock: FakeClock
    limit: AdaptiveLimit | None
    workers: int = 10
    seconds: float = 0.1
    patience: float = 1.0
    spread: bool = False  # exponential service times instead of equal ones
    answered: int = 0
    shed: int = 0
    inside: list[int] = field(default_factory=list)  # the limit, as it was at each arrival

    def __post_init__(self) -> None:
        self._rng = random.Random(1)
        self._events: list[tuple[float, int, str, Call | None]] = []
        self._order = self._busy = 0
        self._queue: deque[Call] = deque()

    @property
    def capacity(self) -> float:
        return self.workers / self.seconds

    def run(self, seconds: float, load: float) -> float:
        """Calls answered a second, while `load` times the capacity arrive (Poisson)."""
        end, before = self.clock.monotonic() + seconds, self.answered
        self._events = [event for event in self._events if event[2] != "arrive"]
        heapq.heapify(self._events)
        self._rate = load * self.capacity
        self._next_arrival()
        while self._events[0][0] < end:
            moment, _, what, call = heapq.heappop(self._events)
            self.clock.pause(moment - self.clock.monotonic())
            getattr(self, f"_{what}")(call)
        self.clock.pause(end - self.clock.monotonic())
        return (self.answered - before) / seconds

    def _at(self, delay: float, what: str, call: Call | None = None) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.clock.monotonic() + delay, self._order, what, call))

    def _next_arrival(self) -> None:
        self._at(self._rng.expovariate(self._rate), "arrive")

    def _arrive(self, _: None) -> None:
        self._next_arrival()
        try:
            call = Call(self.limit.acquire() if self.limit else None)
        except OverLimit:
            self.shed += 1
            return
        finally:
            self.inside.append(self.limit.limit if self.limit else 0)
        self._at(self.patience, "leave", call)
        self._queue.append(call)
        self._work()

    def _work(self) -> None:
        while self._queue and self._busy < self.workers:
            self._busy += 1
            seconds = self._rng.expovariate(1 / self.seconds) if self.spread else self.seconds
            self._at(seconds, "end", self._queue.popleft())

    def _end(self, call: Call) -> None:
        self._busy -= 1
        if not call.left:
            call.left = True
            self.answered += 1
            self._release(call)
        self._work()

    def _leave(self, call: Call) -> None:
        if not call.left:
            call.left = True
            self._release(call, TimeoutError())

    def _release(self, call: Call, error: TimeoutError | None = None) -> None:
        if self.limit and call.place:
            self.limit.release(call.place, error)


def a_server(*, limited: bool = True, workers: int = 10, spread: bool = False) -> SimulatedServer:
    clock = FakeClock()
    return SimulatedServer(clock, AdaptiveLimit(clock=clock) if limited else None, workers=workers, spread=spread)


def the_limit(server: SimulatedServer, seconds: float, load: float) -> float:
    """Its mean, over the calls that arrive in these seconds."""
    server.inside.clear()
    server.run(seconds, load)
    return sum(server.inside) / len(server.inside)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("workers", [5, 10, 40, 100])
def test_it_settles_near_the_capacity(workers: int, spread: bool) -> None:
    server = a_server(workers=workers, spread=spread)
    server.run(30, load=3)

    limit = the_limit(server, 30, load=3)

    assert workers <= limit <= 2.5 * workers


@pytest.mark.parametrize("spread", [False, True])
def test_at_three_times_the_capacity_goodput_stays(spread: bool) -> None:
    """The plan's figure: 60 s, at least 90 % of the peak, the time to find the limit included."""
    server = a_server(spread=spread)

    goodput = server.run(60, load=3)

    assert goodput >= 0.9 * server.capacity
    assert server.shed > server.answered


def test_without_the_limit_the_same_load_ruins_the_server() -> None:
    server = a_server(limited=False)

    assert server.run(60, load=3) < 0.1 * server.capacity


def test_minutes_of_overload_do_not_teach_it_that_queueing_is_normal() -> None:
    server = a_server()
    server.run(30, load=3)
    first = the_limit(server, 30, load=3)
    server.run(600, load=3)

    assert the_limit(server, 30, load=3) == pytest.approx(first, rel=0.1)


def test_it_falls_when_workers_are_lost_and_recovers_when_they_are_back() -> None:
    server = a_server(workers=20)
    server.run(30, load=2)
    healthy = the_limit(server, 10, load=2)

    server.workers = 5
    server.run(30, load=4)
    hurt = the_limit(server, 10, load=4)
    assert hurt < healthy / 2
    assert server.run(30, load=4) >= 0.85 * server.capacity

    server.workers = 20
    server.run(30, load=2)
    assert the_limit(server, 10, load=2) == pytest.approx(healthy, rel=0.15)
    assert server.run(30, load=2) >= 0.9 * server.capacity


def test_it_falls_when_every_call_takes_longer_until_it_has_learnt_that_this_is_how_long_they_take() -> None:
    server = a_server(workers=20)
    server.run(30, load=2)
    healthy = the_limit(server, 5, load=2)

    server.seconds = 0.3
    assert the_limit(server, 4, load=6) < healthy
    assert server.inside[-1] < 0.75 * healthy

    server.run(60, load=2)
    assert server.run(60, load=2) >= 0.9 * server.capacity


def test_light_traffic_is_never_shed() -> None:
    server = a_server(workers=20, spread=True)

    server.run(300, load=0.2)

    assert server.shed == 0
