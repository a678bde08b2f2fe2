"""What actors refuse, and how an ask can end without an answer. `attempted` is False where no `receive` ever began."""

from cortex_core.kernel.errors import CortexError, Kind


class InvalidAddress(CortexError, ValueError):
    """A system, a kind, a name or an id that no address can hold."""

    code, kind = "actor.invalid-address", Kind.INVALID
    attempted = False


class NameTaken(CortexError, ValueError):
    """An actor or a kind of that name lives already."""

    code, kind = "actor.name-taken", Kind.CONFLICT
    attempted = False


class UnknownKind(CortexError, LookupError):
    """Nobody has registered that kind of virtual actor."""

    code, kind = "actor.unknown-kind", Kind.INTERNAL
    attempted = False


class MailboxFull(CortexError):
    """The actor has as many messages waiting as it may have. This one was not taken."""

    code, kind = "actor.mailbox-full", Kind.UNAVAILABLE
    attempted = False


class StashFull(CortexError):
    """As many messages are put aside as may be."""

    code, kind = "actor.stash-full", Kind.UNAVAILABLE


class ActorStopped(CortexError):
    """There is no actor at that address any more. `attempted`: whether it had begun with this message."""

    code, kind = "actor.stopped", Kind.UNAVAILABLE
    attempted = False


class ActorFailed(CortexError):
    """`receive` ended with what cannot be handed on as an error: a CancelledError, a StopIteration. It is the cause."""

    code, kind = "actor.failed", Kind.INTERNAL


class AskTimeout(CortexError, TimeoutError):
    """No answer in time. `attempted` is False where the message's turn had not come: then it never will."""

    code, kind = "actor.ask-timeout", Kind.TIMEOUT


class AskSelf(CortexError, ValueError):
    """An actor asked itself, or one that waits for it: the answer could never come."""

    code, kind = "actor.ask-self", Kind.INTERNAL
    attempted = False


class SystemDraining(CortexError):
    """The system finishes what it has, and takes no more from outside."""

    code, kind = "actor.system-draining", Kind.UNAVAILABLE
    attempted = False


class TooManyActive(CortexError):
    """As many actors of the kind are active as may be, and none of them is idle."""

    code, kind = "actor.too-many-active", Kind.UNAVAILABLE
    attempted = False


def failure_of(error: BaseException) -> ActorFailed:
    """`error` as one that can be handed on: it is the cause."""
    failure = ActorFailed(f"it ended with {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
