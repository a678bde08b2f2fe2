"""Fencing: a writer that was replaced without noticing cannot write.

Whoever writes under a lease says with each append which one, and in which epoch he holds it. Each change of hands
raises the epoch, in the store's own database, so the transaction that writes can look: a writer that was stopped for
longer than its lease lasts, and goes on afterwards, is refused whatever its clock says. The rows keep the epoch, and a
stream written under a higher one is closed to lower ones even where the lease is another's or is gone.

Refuses to say who may hold a lease and for how long. The protocol: fencing tokens, in M. Kleppmann, "How to do
distributed locking" (2016); leases, in C. Gray and D. Cheriton, "Leases" (SOSP 1989).
"""

from dataclasses import dataclass

from cortex_core.kernel.errors import CortexError, Kind


@dataclass(frozen=True, slots=True)
class Fence:
    """Under which lease of the context's tenant an append is made, and in which epoch (from 1) the writer holds it.

    The lease has been acquired: its row is there, and stays. Without a row there is nothing on PostgreSQL that would
    order the first take-over and an append that looks at the same moment.
    """

    name: str
    epoch: int

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.name:
            raise ValueError("name must say which lease")
        if self.epoch < 1:
            raise ValueError(f"epoch must be at least 1, not {self.epoch}: rows of epoch 0 were written under no lease")


class Fenced(CortexError):
    """Somebody else holds the lease by now. Nothing was written, and nothing ever will be in this epoch: stop."""

    code, kind = "event-store.fenced", Kind.CONFLICT

    def __init__(self, stream: str, fence: Fence, epoch: int) -> None:
        super().__init__(
            f"{stream} is written in epoch {epoch} of {fence.name} now; epoch {fence.epoch} is over",
            stream=stream,
            lease=fence.name,
            epoch=fence.epoch,
            current_epoch=epoch,
        )


def check_fence(stream: str, fence: Fence, of_lease: int, of_stream: int) -> None:
    """`of_lease` is the epoch of the lease's row, `of_stream` the highest of the stream's rows; 0 where there is none.

    Raises Fenced.
    """
    highest = max(of_lease, of_stream)
    if highest > fence.epoch:
        raise Fenced(stream, fence, highest)
