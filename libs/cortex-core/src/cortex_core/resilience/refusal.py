"""Refusals: a block of ours ended the call, so that its end says nothing about what was called."""

from cortex_core.kernel.errors import CortexError, Kind


class Refusal(CortexError):
    """A block refused a call, or ended it for its caller's sake.

    A breaker around the block counts it neither way: a full bulkhead or a caller without time is no evidence against
    what they protect. As a rule the work has not begun (`attempted` is False).
    """

    code, kind = "call.refused", Kind.UNAVAILABLE
    attempted = False
