"""Actors: state that one message at a time can touch, supervised, addressed, there on demand. Standard library only."""

from cortex_core.actors.actor import Actor, ActorContext
from cortex_core.actors.address import ActorRef, Address, Recipient
from cortex_core.actors.draining import Drained
from cortex_core.actors.errors import (
    ActorFailed,
    ActorStopped,
    AskSelf,
    AskTimeout,
    InvalidAddress,
    MailboxFull,
    NameTaken,
    StashFull,
    SystemDraining,
    TooManyActive,
    UnknownKind,
)
from cortex_core.actors.hooks import (
    ActorHooks,
    DeadLetter,
    Failure,
    OnDeadLetter,
    OnFailure,
    OnPassivated,
    OnStarted,
    OnTerminated,
    Passivated,
    Started,
    StopReason,
    Terminated,
    Undelivered,
)
from cortex_core.actors.options import ActorOptions, Overflow
from cortex_core.actors.supervision import Directive, Supervision
from cortex_core.actors.system import ActorSystem

__all__ = [
    "Actor",
    "ActorContext",
    "ActorFailed",
    "ActorHooks",
    "ActorOptions",
    "ActorRef",
    "ActorStopped",
    "ActorSystem",
    "Address",
    "AskSelf",
    "AskTimeout",
    "DeadLetter",
    "Directive",
    "Drained",
    "Failure",
    "InvalidAddress",
    "MailboxFull",
    "NameTaken",
    "OnDeadLetter",
    "OnFailure",
    "OnPassivated",
    "OnStarted",
    "OnTerminated",
    "Overflow",
    "Passivated",
    "Recipient",
    "Started",
    "StashFull",
    "StopReason",
    "Supervision",
    "SystemDraining",
    "Terminated",
    "TooManyActive",
    "Undelivered",
    "UnknownKind",
]
