"""What counts as a failure of what was called: its trouble does, its caller's mistakes do not."""

from typing import Final

from cortex_core.kernel.errors import CortexError, Kind

_ITS_OWN: Final = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.MALFORMED, Kind.INTERNAL})


def is_failure(error: Exception) -> bool:
    """A CortexError of the kinds unavailable, timeout, malformed and internal, and whatever is no CortexError.

    Every other kind (invalid, not found, conflict, rate limited …) is an answer, and shows that there is somebody to
    give one.
    """
    return not isinstance(error, CortexError) or error.kind in _ITS_OWN
