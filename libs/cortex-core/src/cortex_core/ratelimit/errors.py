"""What can go wrong here besides a refusal, which is a `Decision` and no error."""

from cortex_core.kernel.errors import CortexError, Kind


class LimiterUnavailable(CortexError):
    """The shared counts cannot be reached, and the policy says `on_outage="closed"`. `retry_after` is in seconds."""

    code, kind = "rate-limit.unavailable", Kind.UNAVAILABLE
    attempted = False
