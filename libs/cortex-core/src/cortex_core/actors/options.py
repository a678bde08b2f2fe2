"""How an actor is kept: its mailbox, its supervision, its rest."""

from dataclasses import dataclass, field
from enum import StrEnum

from cortex_core.actors.bounds import seconds, whole
from cortex_core.actors.supervision import Supervision


class Overflow(StrEnum):
    """What becomes of a message told to a full mailbox. An ask is refused, whatever the policy."""

    REJECT = "reject"  # the sender gets MailboxFull
    DROP_NEWEST = "drop-newest"  # it becomes a dead letter
    DROP_OLDEST = "drop-oldest"  # the one that waited longest does


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorOptions:
    """`mailbox`: messages that may wait (≥ 1); `stash`: that may be put aside (≥ 0). `idle`: seconds (> 0) without a
    message after which the actor leaves memory, None: it stays. Raises ValueError for what is out of its bounds.

    Not idle is who has children, a timer, or something in the stash. An ask that was given up takes no place.
    """

    mailbox: int = 1_000
    overflow: Overflow = Overflow.REJECT
    supervision: Supervision = field(default_factory=Supervision)
    idle: float | None = None
    stash: int = 100

    def __post_init__(self) -> None:
        whole("mailbox", self.mailbox, least=1)
        whole("stash", self.stash, least=0)
        if self.idle is not None:
            seconds("idle", self.idle)
        if not isinstance(self.supervision, Supervision):
            raise ValueError(  # noqa: TRY004 - settings are refused in one way
                f"supervision must be a Supervision, not {self.supervision!r}"
            )
        if self.overflow not in tuple(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(Overflow)}, not {self.overflow!r}")
