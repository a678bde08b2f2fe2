"""Leases: of several processes one may do a thing, for a time, and each change of hands has a number.

Owns the words and the role. A lease is a promise about time, and time is what a paused process is wrong about: so it
decides who begins, and never who may write. Whoever writes shows the epoch it holds the lease in (`Lease.fence`), and
the store refuses the ones that are over. An epoch only grows; a row is never deleted.

Contract: `cortex_core.testing.contracts.leases.LeasesContract`. The protocol: C. Gray and D. Cheriton, "Leases" (SOSP
1989). Next: `leadership.py` keeps one renewed while work goes on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cortex_core.eventsourcing.fencing import Fence
from cortex_core.kernel.errors import CortexError, Kind

MAX_TTL: Final = 86_400.0
"""Seconds. What dies holding a lease is missed for as long as this."""


class LeaseLost(CortexError):
    """The lease has expired, or somebody else has it. Stop what you do under it."""

    code, kind = "lease.lost", Kind.CONFLICT

    def __init__(self, lease: "Lease") -> None:
        super().__init__(f"epoch {lease.epoch} of the lease {lease.name} is over", lease=lease.name, epoch=lease.epoch)


@dataclass(frozen=True, slots=True)
class Lease:
    """`holder` may do what `name` stands for until `expires_at`, by the clock of the store. `ttl` in seconds."""

    name: str
    holder: str
    epoch: int
    expires_at: datetime
    ttl: float

    @property
    def fence(self) -> Fence:
        """What a write under this lease shows to the store."""
        return Fence(self.name, self.epoch)


class Leases(Protocol):
    """See the module. A name is one within the context's tenant. All raise EventStoreUnavailable."""

    async def acquire(self, name: str, holder: str, ttl: float) -> Lease | None:
        """The lease for `ttl` seconds, its epoch one higher than ever before; None while another holds it.

        A holder that asks again gets it anew, and its older epoch is over: the answer to the first question may have
        been lost. Raises ValueError for an empty name or holder, or a `ttl` that is not above 0 and at most a day.
        """
        ...

    async def renew(self, lease: Lease) -> Lease:
        """The same epoch for another `lease.ttl` seconds from now. Raises LeaseLost, also when it has expired and
        nobody has taken it: what happens between the two would have been done by nobody."""
        ...

    async def release(self, lease: Lease) -> None:
        """Another may have it at once. Harmless when it is not held any more."""
        ...


def check_terms(name: str, holder: str, ttl: float) -> None:
    """Raises ValueError."""
    if not name or not holder:
        raise ValueError("name and holder of a lease must not be empty")
    if not 0 < ttl <= MAX_TTL:
        raise ValueError(f"ttl must be above 0 and at most {MAX_TTL:.0f} s, not {ttl}")
