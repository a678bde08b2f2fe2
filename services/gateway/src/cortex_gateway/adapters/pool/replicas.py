"""The replicas of a service: who is asked next, and who is left out for a while.

The one with the fewest requests under way is asked, ties in turn. One that failed several times in a row is ejected:
for a second, and for twice as long each time in a row after that, half a minute at most; at least one stays in. When
its time is over one request probes it: a success lets it back, a failure ejects it again. Requests that may be sent
twice go first: they go elsewhere where the probe fails. One that is silent, also when it is asked for itself
(alive.py), is out until it speaks, be it the last. No I/O here, and no clock: `now` is the loop's time.
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
    requests under way; `failures` those that failed in a row, by any answer of 500 and more, too; `unable`: the last
    one got none, or 502 to 504."""

    __slots__ = (
        "address",
        "asked",
        "connections",
        "ejected_until",
        "ejections",
        "failures",
        "gone",
        "host_line",
        "hung",
        "idle",
        "known",
        "outstanding",
        "probed",
        "unable",
    )

    def __init__(self, address: Address) -> None:
        self.address = address
        self.host_line = b" HTTP/1.1\r\nHost: " + address.authority.encode("ascii") + b"\r\n"
        self.idle: list[Connection] = []
        self.known = KnownHeads()
        self.connections: set[Connection] = set()
        self.outstanding = 0
        self.failures = 0
        self.unable = False
        self.asked = False  # whether it is there
        self.hung = False  # and it does not say so
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
    """`ejected` hears of each ejection, and of its seconds. `only`: the one to ask, where there is no choice."""

    def __init__(
        self, addresses: Iterable[Address], ejected: Callable[[Replica, float], None] = lambda _replica, _seconds: None
    ) -> None:
        self.all: Sequence[Replica] = [Replica(address) for address in dict.fromkeys(addresses)]
        self.former: list[Replica] = []  # not asked any more, with requests under way
        self._ejected = ejected
        self._turn = 0
        self.only = self._without_choice()

    def _without_choice(self) -> Replica | None:
        return self.all[0] if len(self.all) == 1 and not self.all[0].hung else None

    def choose(self, now: float, avoid: Replica | None, *, safe: bool) -> Replica | None:
        """Whom to ask; not `avoid`, where there is another. `safe`: the request may be sent twice. None: all hang."""
        if self.only is not None:
            return self.only
        replicas = self.all
        self._turn += 1
        again = avoid is not None
        best: Replica | None = None
        for step in range(len(replicas)):
            replica = replicas[(self._turn + step) % len(replicas)]
            if replica is avoid:
                continue
            if replica.ejections:
                if not again and self._to_be_probed(replica, now, safe=safe):
                    replica.probed = True
                    return replica
            elif best is None or self._load(replica, again) < self._load(best, again):
                best = replica
        return best or self._out_of_turn(avoid)

    def _out_of_turn(self, avoid: Replica | None) -> Replica | None:
        """None is in. Whoever answers at all is asked: nobody would do better."""
        self._turn += 1
        turned = (self.all[(self._turn + step) % len(self.all)] for step in range(len(self.all)))
        there = [replica for replica in turned if not replica.hung]
        return avoid if avoid in there else next(iter(there), None)

    def has_better(self, than: Replica) -> bool:
        """Whether another one is in whose last answer was a good one."""
        return any(not other.failures and not other.ejections for other in self.all if other is not than)

    @staticmethod
    def _load(replica: Replica, again: bool) -> tuple[int, int]:
        """A second try goes where the last one went well, so far as that is known."""
        return (replica.failures if again else 0, replica.outstanding)

    @staticmethod
    def _to_be_probed(replica: Replica, now: float, *, safe: bool) -> bool:
        return not replica.probed and now >= replica.ejected_until + (0.0 if safe else EJECTED)

    def answered(self, replica: Replica) -> None:
        """It gave an answer below 500."""
        if replica.failures or replica.ejections:
            replica.failures = 0
            replica.unable = False
            self._let_in(replica)

    def _let_in(self, replica: Replica) -> None:
        replica.ejections = 0
        replica.probed = replica.hung = False
        self.only = self._without_choice()

    def erred(self, replica: Replica, now: float) -> None:
        """It answered 500 or more, and none of 502 to 504: it is there, and worse than another where that gives none.
        Where all give some it is what was asked, or the service: leaving one out would help nobody."""
        replica.failures += 1
        replica.unable = False
        if not self.has_better(replica):
            self._let_in(replica)
        elif replica.probed or (replica.failures >= FAILURES and not replica.ejections):
            self._eject(replica, now)

    def failed(self, replica: Replica, now: float) -> bool:
        """It did not, or said that it cannot; whether that says that the service as a whole cannot: no other replica's
        last answer was a good one."""
        replica.failures += 1
        replica.unable = True
        if replica.probed or replica.failures >= FAILURES:
            self._eject(replica, now)
        return all(other.unable for other in self.all)

    def silent(self, replica: Replica) -> None:
        """It does not say that it is there: nobody waits for it until it has `spoken`, or answers what is under way."""
        replica.failures += 1
        replica.ejections = max(1, replica.ejections)  # for `answered`, and `choose`
        replica.ejected_until = math.inf
        replica.probed = False
        replica.unable = replica.hung = True
        self.only = self._without_choice()
        self._ejected(replica, EJECTED)

    def spoken(self, replica: Replica, now: float) -> None:
        """It says again that it is there: a request may try it; the only one is in."""
        replica.hung = False
        replica.ejected_until = now
        if len(self.all) == 1:
            self._let_in(replica)

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
        self.only = self._without_choice()
