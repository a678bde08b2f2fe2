"""The watch on a clock that is turned by hand: nothing is noticed late, and nobody is blamed for our own pauses."""

from collections.abc import Callable
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.chassis.http_protocol.watch import Phase, Watch

LIMITS = ConnectionLimits(
    head_timeout=10, keep_alive=5, body_silence=10, body_grace=8, body_rate=240, write_silence=10, linger=2
)


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.cancelled = at, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """What the watch needs of a loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.fired = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay, call)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at <= until]:
            timer = min(due, key=lambda each: each.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            self.fired += 1
            timer.call()
        self.now = until


class Connection:
    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.told: list[tuple[float, str]] = []
        self.unsent_bytes: int | None = None
        self.waits_for_continue = False

    def unanswered(self, phase: Phase) -> None:
        self.told.append((self.loop.now - 100, phase.name))

    def unread(self) -> None:
        self.told.append((self.loop.now - 100, "unread"))

    def unsent(self) -> int | None:
        return self.unsent_bytes

    def patient(self) -> bool:
        return self.waits_for_continue


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def connection(loop: Loop) -> Connection:
    return Connection(loop)


@pytest.fixture
def watch(loop: Loop, connection: Connection) -> Watch:
    fake: Any = loop
    made = Watch(connection, fake, LIMITS)
    made.start()
    return made


def first(connection: Connection) -> tuple[float, str]:
    when, what = connection.told[0]
    return round(when, 3), what


def body(watch: Watch, taken: int = 0) -> None:
    watch.phase = Phase.BODY
    watch.body_begins()
    watch.taken = taken


def test_a_head_has_its_time_from_the_connections_begin(loop: Loop, watch: Watch, connection: Connection) -> None:
    loop.advance(30)

    assert first(connection) == (10.0, "HEAD")


def test_an_idle_connection_has_its_own(loop: Loop, watch: Watch, connection: Connection) -> None:
    loop.advance(3)
    watch.phase, watch.since = Phase.IDLE, loop.time()

    loop.advance(30)

    assert first(connection) == (8.0, "IDLE")


@pytest.mark.parametrize("phase", [Phase.BUSY, Phase.OVER])
def test_a_client_that_waits_for_us_has_all_the_time(
    phase: Phase, loop: Loop, watch: Watch, connection: Connection
) -> None:
    watch.phase = phase

    loop.advance(10_000)

    assert connection.told == []


def test_a_refused_one_is_torn_down_soon(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.linger()

    loop.advance(30)

    assert first(connection) == (2.0, "LINGERING")


def test_a_body_that_stops_is_cut_ten_seconds_after_its_last_byte(
    loop: Loop, watch: Watch, connection: Connection
) -> None:
    body(watch, taken=10**6)
    loop.advance(3)
    watch.last = loop.time()

    loop.advance(30)

    assert first(connection) == (13.0, "BODY")


def test_a_body_that_trickles_is_cut_at_the_end_of_its_grace(loop: Loop, watch: Watch, connection: Connection) -> None:
    body(watch)
    for _ in range(30):
        watch.last, watch.taken = loop.time(), watch.taken + 1
        loop.advance(0.5)

    assert first(connection) == (8.0, "BODY")


def test_a_body_pays_for_its_time_byte_by_byte(loop: Loop, watch: Watch, connection: Connection) -> None:
    body(watch)
    for _ in range(200):
        watch.last, watch.taken = loop.time(), watch.taken + 125
        loop.advance(0.5)

    assert connection.told == []


def test_what_we_do_not_read_is_not_laid_to_the_client(loop: Loop, watch: Watch, connection: Connection) -> None:
    body(watch, taken=10)
    loop.advance(2)
    watch.hold()
    loop.advance(600)
    watch.go_on()

    loop.advance(5.9)
    assert connection.told == []
    loop.advance(0.2)

    assert first(connection) == (608.0, "BODY")


def test_who_waits_for_100_continue_is_not_late(loop: Loop, watch: Watch, connection: Connection) -> None:
    body(watch)
    connection.waits_for_continue = True
    loop.advance(60)
    assert connection.told == []
    connection.waits_for_continue = False

    loop.advance(60)

    assert first(connection)[1] == "BODY"
    assert first(connection)[0] <= 68.0


def test_who_takes_nothing_is_cut(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.phase = Phase.BUSY
    connection.unsent_bytes = 70_000
    loop.advance(1)
    watch.not_taking()

    loop.advance(60)

    assert first(connection) == (11.0, "unread")


def test_who_takes_a_little_all_the_time_is_not(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.phase = Phase.BUSY
    connection.unsent_bytes = 70_000
    watch.not_taking()
    for _ in range(70):
        connection.unsent_bytes -= 300
        loop.advance(1)

    assert connection.told == []


def test_who_takes_less_than_the_rate_is_cut(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.phase = Phase.BUSY
    connection.unsent_bytes = 70_000
    watch.not_taking()
    for _ in range(30):
        connection.unsent_bytes -= 100
        loop.advance(1)

    assert first(connection) == (10.0, "unread")


def test_who_took_enough_starts_anew(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.phase = Phase.BUSY
    for _ in range(10):
        connection.unsent_bytes = 70_000
        watch.not_taking()
        loop.advance(9)
        connection.unsent_bytes = None
        watch.taking()
        loop.advance(1)

    assert connection.told == []


def test_the_timer_is_not_moved_by_what_happens(loop: Loop, watch: Watch, connection: Connection) -> None:
    for _ in range(1000):
        watch.phase, watch.since = Phase.HEAD, loop.time()
        watch.phase = Phase.BUSY
        watch.phase, watch.since = Phase.IDLE, loop.time()
        loop.advance(0.01)

    assert loop.fired <= 10  # in ten seconds, of a thousand requests
    assert len(loop.timers) == 1


def test_one_that_has_ended_looks_no_more(loop: Loop, watch: Watch, connection: Connection) -> None:
    watch.stop()

    loop.advance(60)

    assert connection.told == []
    assert loop.fired == 0
