"""The replicas of a service: who is asked next, and who is left out for a while.

The one with the fewest requests under way is asked, ties in turn. One that failed several times in a row is ejected:
for a second, and for twice as long each time in a row after that, half a minute at most; at least one stays in. When
its time is over one request probes it: a success lets it back, a failure ejects it again. Requests that may be sent
twice go first: whoever probes may pay for it. No I/O here, and no clock: `now` is the loop's time.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from cortex_gateway.adapters.pool.addresses import Address
from cortex_gateway.adapters.pool.framing import KnownHeads

if TYPE_CHECKING:
    from cortex_gateway.adapters.pool.connection import Connection

FAILURES: Final = 5  # in a row
EJECTED: Final = 1.0  # seconds, the first time
EJECTED_AT_MOST: Final = 30.0


class Replica:
    """One address of a service, and its connections. `idle` are the kept ones, the freshest last; `outstanding` counts
    requests under way; `failures` those that failed in a row."""

    __slots__ = (
        "address",
        "connections",
        "ejected_until",
        "ejections",
        "failures",
        "gone",
        "host_line",
        "idle",
        "known",
        "outstanding",
        "probed",
    )

    def __init__(self, address: Address) -> None:
        self.address = address
        self.host_line = b" HTTP/1.1\r\nHost: " + address.authority.encode("ascii") + b"\r\n"
        self.idle: list[Connection] = []
        self.known = KnownHeads()
        self.connections: set[Connection] = set()
        self.outstanding = 0
        self.failures = 0
        self.ejected_until = -math.inf
        self.ejections = 0  # in a row; 0: it is in
        self.probed = False
        self.gone = False  # its name does not lead to it any more

    def let_go(self) -> None:
        """A request that it was chosen for is over. If that was to probe it and nobody has learnt anything, the next
        one is its probe."""
        self.outstanding -= 1
        if self.probed and not self.outstanding:
            self.probed = False

    def kept(self, connection: "Connection") -> None:
        """A connection that nobody needs now."""
        if self.gone:
            return connection.close()
        self.idle.append(connection)
        connection.keep()

    def lost(self, connection: "Connection") -> None:
        """A connection that is none any more."""
        self.connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def freshest(self) -> "Connection | None":
        """A kept connection, taken: the one that was used last."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def close_idle(self) -> None:
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()


class Replicas:
    """`ejected` hears of each ejection, and of its seconds."""

    def __init__(
        self, addresses: Iterable[Address], ejected: Callable[[Replica, float], None] = lambda _replica, _seconds: None
    ) -> None:
        self.all: Sequence[Replica] = [Replica(address) for address in dict.fromkeys(addresses)]
        self.former: list[Replica] = []  # not asked any more, with requests under way
        self._ejected = ejected
        self._turn = 0

    def choose(self, now: float, avoid: Replica | None, *, safe: bool) -> Replica:
        """Whom to ask; not `avoid`, where there is another. `safe`: the request may be sent twice."""
        replicas = self.all
        if len(replicas) == 1:
            return replicas[0]
        self._turn += 1
        again = avoid is not None
        best: Replica | None = None
        for step in range(len(replicas)):
            replica = replicas[(self._turn + step) % len(replicas)]
            if replica is avoid:
                continue
            if replica.ejections:
                if self._to_be_probed(replica, now, safe=safe):
                    replica.probed = True
                    return replica
            elif best is None or self._load(replica, again) < self._load(best, again):
                best = replica
        return best or avoid or replicas[self._turn % len(replicas)]

    @staticmethod
    def _load(replica: Replica, again: bool) -> tuple[int, int]:
        """A second try goes where the last one went well, so far as that is known."""
        return (replica.failures if again else 0, replica.outstanding)

    @staticmethod
    def _to_be_probed(replica: Replica, now: float, *, safe: bool) -> bool:
        return not replica.probed and now >= replica.ejected_until + (0.0 if safe else EJECTED)

    def answered(self, replica: Replica) -> None:
        """It gave an answer that is none of 502 to 504."""
        if replica.failures or replica.ejections:
            replica.failures = replica.ejections = 0
            replica.probed = False

    def failed(self, replica: Replica, now: float) -> bool:
        """It did not, or said that it cannot; whether that says that the service as a whole cannot: no other replica's
        last answer was a good one."""
        replica.failures += 1
        if replica.probed or replica.failures >= FAILURES:
            self._eject(replica, now)
        return all(other.failures for other in self.all)

    def _eject(self, replica: Replica, now: float) -> None:
        if not replica.ejections and not any(not other.ejections for other in self.all if other is not replica):
            return  # the last one that is in: who is asked instead would be no better
        if replica.ejections and now < replica.ejected_until:
            return  # what was under way when it was ejected
        seconds = min(EJECTED_AT_MOST, EJECTED * 2.0 ** min(replica.ejections, 16))
        replica.ejected_until = now + seconds
        replica.ejections += 1
        replica.probed = False
        self._ejected(replica, seconds)

    def become(self, addresses: Iterable[Address]) -> None:
        """The addresses as they are now. What is known of those that stay is kept; the others' requests go on."""
        known = {replica.address: replica for replica in self.all}
        wanted = list(dict.fromkeys(addresses))
        self.all = [known.pop(address) if address in known else Replica(address) for address in wanted]
        for replica in known.values():
            replica.gone = True
            replica.close_idle()
        self.former = [replica for replica in (*self.former, *known.values()) if replica.outstanding]
