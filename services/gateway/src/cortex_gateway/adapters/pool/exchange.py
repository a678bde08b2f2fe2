"""One request with a service, from its place to the end of its answer. See `ports.Exchange`.

Its steps are callbacks, so that nothing is allocated for waiting where nobody waits: a place, a permit of the circuit,
a kept connection, one write. Next: verdict.py has what an end says of whom, and when another replica is asked.
"""

from typing import TYPE_CHECKING

from cortex_core.chassis import is_hurried
from cortex_core.chassis.upstream import UpstreamTimeout
from cortex_core.kernel import CortexError, use_context
from cortex_core.resilience import CircuitOpenError, Course, Refusal, Turn
from cortex_gateway.adapters.pool.errors import CONNECT, circuit_open, late, silent, too_many, unavailable
from cortex_gateway.adapters.pool.request import write_request
from cortex_gateway.adapters.pool.verdict import Judged
from cortex_gateway.ports import Head
from cortex_gateway.routes import Service

if TYPE_CHECKING:
    import asyncio

    from cortex_gateway.adapters.pool.connection import Connection


class PooledExchange(Judged):
    """`service` is its name, `echo` what is cut out of the head of its answer (see `ports.Departure`)."""

    _raced = False
    _allowed = 0.0
    _turn: Turn | None = None
    _connecting: "asyncio.Task[None] | None" = None

    @property
    def service(self) -> Service:
        return self._pool.service

    def abort(self) -> None:
        if not self._over:
            self._end()

    # From its place to its request's being sent

    def start(self, body: bytes) -> None:
        """With a place, a permit, and a second attempt where that may help. `body` is what there is of it."""
        if not self._eof:
            self._come_in(body)
        elif self._pool.bulkhead.try_enter():
            self._placed = True
            self._first()
        else:
            self._line_up()

    def start_unguarded(self) -> None:
        """Without any of that."""
        self._begin()
        self._go()

    def _enter(self) -> None:
        if not self._pool.bulkhead.try_enter():
            return self._line_up()
        self._placed = True
        self._first()

    def _line_up(self) -> None:
        pool = self._pool
        try:
            with use_context(deadline=pool.on_clock(self._departure.deadline)):
                self._turn = pool.bulkhead.line_up(self._placed_or_not)
        except Refusal as refusal:
            self._fail_soon(too_many(self.service, refusal))

    def _placed_or_not(self, refusal: Refusal | None) -> None:
        self._turn = None
        if refusal is not None:
            return self._fail(too_many(self.service, refusal))
        self._placed = True
        self._first()

    def _begin(self) -> None:
        """What our caller allows is judged from here: a connection that takes its time is none of its haste."""
        self._began = self._pool.loop.time()
        self._allowed = self._left()

    def _first(self) -> None:
        pool, departure = self._pool, self._departure
        self._began = pool.loop.time()
        deadline = departure.deadline
        self._allowed = departure.timeout if deadline is None else self._left()
        if departure.retry and departure.length == 0:
            self._course = Course(pool.rules, departure.budget, None if deadline is None else pool.on_clock(deadline))
        self._attempt()

    def _attempt(self, *, fresh: bool = False) -> None:
        self._timer = None
        try:
            self._permit = self._pool.breaker.permit()
        except CircuitOpenError as refusal:
            return self._fail_soon(circuit_open(self.service, refusal))
        self._go(fresh=fresh)

    def _go(self, *, fresh: bool = False) -> None:
        """To a replica, by a kept connection or (always, if `fresh`) by a new one. Not to the one that failed us."""
        pool = self._pool
        replica = pool.replicas.only
        if replica is None:
            replica = pool.replicas.choose(pool.loop.time(), self._avoid, safe=self._departure.retry)
            if replica is None:
                self._settle(error := silent(self.service), evidence=False)
                return self._fail_soon(error)
            self._probing = replica.probed and self._course is not None
        self._replica = replica
        replica.outstanding += 1
        connection = None if fresh else replica.freshest()
        if connection is None:
            self._connecting = pool.connect(self, replica, min(CONNECT, self._left()))
        else:
            self.connected(connection)

    def _left(self) -> float:
        """Seconds that the service has from now until we want to see a sign of life."""
        timeout, deadline = self._departure.timeout, self._departure.deadline
        return timeout if deadline is None else max(0.0, min(timeout, deadline - self._pool.loop.time()))

    def connected(self, connection: "Connection") -> None:
        departure = self._departure
        self._connecting = None
        left = departure.timeout if departure.deadline is None else self._left()
        if left <= 0.0:
            connection.replica.kept(connection)
            self._settle(error := late(self.service, left, hurried=True, attempted=False), evidence=False)
            return self._fail_soon(error)
        self._connection = connection
        self.sent = self._eof
        budget = departure.budget if self._course is None else self._course.budget
        request = write_request(departure, connection.replica.host_line, left, budget, self._pending)
        self._pending = b""
        if self._paused:
            connection.pause_reading()
        usual = self.sent and not self._paused and departure.deadline is None
        connection.begin(self, request, self._pool.loop.time() + left if usual else self._due())
        if self._probing:
            self._probe(connection, left)
        if self._holding and not connection.held:
            self._holding = False
            self.receiver.go_on()

    # What its connection tells

    def answered(self, head: Head) -> None:
        self._answered = True
        if head.status >= 500:
            if self._goes_on_after(head.status):
                return
        else:
            if self._replica is not None:
                self._pool.replicas.answered(self._replica)
            if self._permit is not None:
                self._permit.succeeded()
        self.receiver.answered(head)

    def completed(self) -> None:
        self._connection = None
        self._end()
        self.receiver.completed()

    def arrived(self, head: Head, body: bytes) -> None:
        """The whole answer at once."""
        self._answered = True
        self._connection = None
        replica, permit = self._replica, self._permit
        if head.status >= 500:
            if self._goes_on_after(head.status):
                return
        else:
            if replica is not None and (replica.failures or replica.ejections):
                self._pool.replicas.answered(replica)
            if permit is not None:
                self._permit = None
                permit.succeeded()
        if self._slow or self._held or self._patience is not None or self._timer is not None:
            self._end()
        else:  # what `_end` comes to for one that took no turn
            self._over = True
            if replica is not None:
                self._replica = None
                if replica.probed:
                    replica.let_go()
                else:
                    replica.outstanding -= 1
            if self._placed:
                self._placed = False
                self._pool.bulkhead.leave()
        self.receiver.arrived(head, body)

    def waited_too_long(self) -> None:
        if self._replica is not None:
            self._pool.suspect(self._replica)
        if self._probing and not self._answered:
            return self._end_of_probe()
        hurried = is_hurried(self._allowed, self._departure.timeout)
        if self._connection is not None:
            self._connection.close()
        self.broke(late(self.service, self._allowed, hurried=hurried))

    def broke(self, error: CortexError, *, race: bool = False, unclear: bool = False) -> None:
        """The connection is gone, and `error` says why. `race`: it was a kept one, and not a byte of an answer came.
        `unclear`: our request was still on its way. The service may have refused it, and a reset took its answer along:
        clients could open the circuit of one that is well."""
        self._connection = None
        if self._answered:
            return self._fail(error)
        if not (race or unclear):
            self._judge(error)
        elif self._permit is not None:
            self._permit.neutral()
        if race and self._course is not None and not self._raced:
            self._raced = True
            self._pool.raced()
            self._let_go()
            return self._attempt(fresh=True)
        self._try_again(error)

    def not_connected_within(self, seconds: float) -> None:
        if seconds < CONNECT:  # we had no more
            hurried = is_hurried(self._allowed, self._departure.timeout)
            self.not_connected(late(self.service, seconds, hurried=hurried, attempted=False))
        else:
            self.not_connected(unavailable(self.service, f"no connection within {CONNECT} s", attempted=False))

    def not_connected(self, error: CortexError) -> None:
        """Nothing was sent: to ask another replica, where one is known to do better, costs nobody anything."""
        self._connecting = None
        elsewhere = not self._failed(error)
        if elsewhere and self._pool.loop.time() - self._began < CONNECT * 1.1:  # one that hangs, and not two
            self._let_go()
            return self._go()
        self._settle(error, evidence=not elsewhere)
        self._try_again(error)

    # Its end

    def _fail_soon(self, error: CortexError) -> None:
        self._pool.loop.call_soon(self._fail, error)

    def _fail(self, error: CortexError) -> None:
        if not self._over:
            self._end()
            if self._permit is not None and isinstance(error, UpstreamTimeout):  # a report's is its asker's to tell
                self._pool.ran_out(error)
            self.receiver.failed(error)

    def _end(self) -> None:
        self._over = True
        self._end_of_pace()
        self._let_go()
        if self._permit is not None:
            self._permit.neutral()  # unless it has ended
        if self._turn is not None:
            self._turn.give_up()
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._placed:
            self._placed = False
            self._pool.bulkhead.leave()
