"""What the end of an attempt says, and of whom: of the service (its circuit), of one replica (its ejection), of neither
where our side broke off, or where a kept connection had been closed before it was used again.

Owns whether the request is asked of another replica then: once, within the retry budget, as long as nothing of an
answer was handed on, and where the other one's last answer was a good one. Refuses to know the rest of an exchange's
course: exchange.py.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from cortex_core.chassis import UNWELL, Unwell
from cortex_core.chassis.upstream import is_evidence
from cortex_core.kernel import CortexError
from cortex_core.kernel.clock import Timer
from cortex_core.resilience import Course, Permit
from cortex_gateway.adapters.pool.alive import SUSPECT
from cortex_gateway.adapters.pool.errors import CONNECT, unavailable
from cortex_gateway.adapters.pool.paced import Paced

if TYPE_CHECKING:
    from cortex_gateway.adapters.pool.connection import Connection
    from cortex_gateway.adapters.pool.replicas import Replica

ELSEWHERE: Final = 3.0  # seconds from its beginning within which a request may be asked of another replica
PROBE: Final = 1.0  # seconds that a replica has which had been left out, where another could be asked


class Judged(Paced):
    """`_probing`: it is to show whether a replica is well again, and will not wait long for that."""

    _answered = _probing = False
    _began = 0.0
    _timer: Timer | None = None
    _permit: Permit | None = None
    _course: Course | None = None
    _replica: "Replica | None" = None
    _avoid: "Replica | None" = None

    # By an answer

    def _goes_on_after(self, status: int) -> bool:
        """Judges an answer of 500 or more; whether another replica is asked instead."""
        replica, unwell = self._replica, Unwell(None, status)
        probe = replica is not None and replica.probed
        if status in UNWELL:
            self._judge(unwell)
            return self._goes_elsewhere(unwell)
        if replica is not None:
            self._pool.replicas.erred(replica, self._pool.loop.time())
        if self._permit is not None:
            self._permit.succeeded()
        return probe and self._goes_elsewhere(unwell)

    def _goes_elsewhere(self, error: CortexError) -> bool:
        course, replica = self._course, self._replica
        if course is None or replica is None or not self._pool.replicas.has_better(replica):
            return False
        if not course.goes_on(error):
            return False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._answered = False
        self._again_in(course.delay)
        return True

    # By silence

    def still_waits(self) -> None:
        """Its connection tells, now and then. An upload that is not whole has its route's time first."""
        waited = self._pool.loop.time() - self._began
        if (replica := self._replica) is not None and self.sent and not self._answered and waited >= SUSPECT:
            self._pool.suspect(replica)

    def fell_silent(self) -> None:
        """Its replica does not say that it is there. What may be sent twice need not wait for it."""
        if not self._answered and self._connection is not None:
            error = unavailable(self._pool.service, "a replica says nothing")
            permit = self._permit
            if self._goes_elsewhere(error) and permit is not None:
                permit.neutral()

    def _probe(self, connection: "Connection", left: float) -> None:
        if left > PROBE:
            connection.wait_until(self._pool.loop.time() + PROBE)
        else:
            self._probing = False

    def _end_of_probe(self) -> None:
        """It has taken too long for a probe. Where it cannot go elsewhere it has its route's time."""
        self._probing = False
        error = unavailable(self._pool.service, "a replica that had been left out kept it waiting")
        self._judge(error)
        if not self._goes_elsewhere(error):
            self.sign_of_life()

    # By any end

    def _judge(self, error: CortexError) -> None:
        self._settle(error, evidence=self._failed(error))

    def _failed(self, error: CortexError) -> bool:
        """Whether that is the service as a whole, and not this replica alone."""
        if self._replica is None or not is_evidence(error):
            return True
        return self._pool.replicas.failed(self._replica, self._pool.loop.time())

    def _settle(self, error: CortexError, *, evidence: bool) -> None:
        if self._permit is not None:
            self._permit.failed(error) if evidence else self._permit.neutral()

    def _try_again(self, error: CortexError) -> None:
        """After an end that came at once. One that took its time has taken the caller's: dead must stay cheap."""
        late = self._pool.loop.time() - self._began >= CONNECT
        if late or self._course is None or not self._course.goes_on(error):
            return self._fail(error)
        self._again_in(self._course.delay)

    def _again_in(self, seconds: float) -> None:
        self._let_go()
        self._timer = self._pool.clock.call_later(seconds, self._attempt)

    def _let_go(self) -> None:
        """Of the replica: the next one is another, where there is one."""
        if (replica := self._replica) is not None:
            replica.let_go()
            self._avoid, self._replica = replica, None

    def _has_begun(self) -> bool:
        return self._answered

    @abstractmethod
    def _attempt(self) -> None:
        """Another one."""
