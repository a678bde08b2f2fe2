"""What a breaker says to those whom it does not let through."""

from cortex_core.kernel.errors import Kind
from cortex_core.resilience.refusal import Refusal


class CircuitOpenError(Refusal):
    """Refused at once: nothing was called. `retry_after` is the seconds until probes are let through, where that is
    known: a circuit held open by hand does not say, nor one whose probes are under way."""

    code, kind = "circuit.open", Kind.UNAVAILABLE
