"""Who waits for a client, and not for a service: bodies that are gathered, and exchanges that go at a client's pace.

Both are bounded, and where a bound is reached it is the slowest client that loses, never who comes next. No I/O here,
and no clock: `now` is the loop's time.
"""

from typing import Final, Protocol

GRACE: Final = 0.3  # seconds that a client may be behind: less than anybody waits for a place
FLOOR: Final = 16 << 10  # bytes of a body a second at which a client keeps up
BUDGET: Final = 64 << 20  # bytes of bodies in memory, for all services
SMALL: Final = 64 << 10  # a body that is said to be no longer is gathered, though its route streams


class Client(Protocol):
    """An exchange, as far as its client's pace matters."""

    def behind(self, now: float) -> float:
        """Seconds that its client has kept us waiting."""
        ...

    def shed(self) -> None:
        """Others need what it holds."""
        ...


class Gathering:
    """Bodies of requests that have no place yet, and those of whom a service has not answered: `budget` bytes. Whose
    body has been coming for the longest gives way."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.held = 0
        self._budget = budget
        self._coming: dict[Client, None] = {}

    def begin(self, client: Client) -> None:
        self._coming[client] = None

    def grew(self, size: int) -> None:
        self.held += size
        while self.held > self._budget and self._coming:
            client = next(iter(self._coming))
            del self._coming[client]
            client.shed()

    def whole(self, client: Client) -> None:
        """It is held still, and not given up any more."""
        self._coming.pop(client, None)

    def forget(self, client: Client, size: int) -> None:
        self._coming.pop(client, None)
        self.held -= size


class SlowClients:
    """At most `most` exchanges that go at their clients' pace. Where they are that many, the one whose client is the
    furthest behind gives way, if it is by GRACE."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: set[Client] = set()

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, client: Client, now: float) -> bool:
        if len(self._inside) >= self._most and not self._make_room(now):
            return False
        self._inside.add(client)
        return True

    def leave(self, client: Client) -> None:
        self._inside.discard(client)

    def _make_room(self, now: float) -> bool:
        slowest = max(self._inside, key=lambda client: client.behind(now))
        if slowest.behind(now) < GRACE:
            return False
        self._inside.discard(slowest)
        slowest.shed()
        return True
