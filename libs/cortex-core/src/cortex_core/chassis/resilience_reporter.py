"""What the resilience blocks tell, as metrics and log lines.

Owns what Grafana's panels read: `cortex_circuit_breaker_state` (0 closed, 1 half-open, 2 open) and its siblings. Labels
are names that code has chosen, never a caller's words.
"""

from collections.abc import Callable
from typing import Final

from cortex_core.observability import Logger, MetricsCollector
from cortex_core.resilience import (
    Admission,
    AdmissionDetails,
    CircuitChange,
    CircuitRejection,
    CircuitState,
    FallbackDetails,
    GiveUpDetails,
    HedgeDetails,
    LimitDetails,
    RetryDetails,
    SharingDetails,
    TimeoutDetails,
)

_STATES: Final = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


class ResilienceReporter:
    """The hooks."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        counter, gauge = metrics.create_counter, metrics.create_gauge
        circuit = "cortex_circuit_breaker"
        self._state = gauge(f"{circuit}_state", "0 closed, 1 half-open, 2 open", ("name",), merge="max")
        self._changes = counter(
            f"{circuit}_changes_total",
            "Changes of state, by what a circuit became and why",
            ("name", "state", "cause"),
        )
        self._rejections = counter(f"{circuit}_rejections_total", "Calls that were refused at once", ("name",))
        self._shared = gauge(
            f"{circuit}_shared", "1 while replicas hear of each other's circuits", ("name",), merge="max"
        )
        self._retries = counter("cortex_retries_total", "Attempts after a first one", ("name",))
        self._given_up = counter(
            "cortex_retries_given_up_total", "Errors that another attempt might have healed", ("name", "reason")
        )
        self._turned_away = counter(
            "cortex_bulkhead_rejections_total", "Calls that found no place", ("name", "outcome")
        )
        self._limit = gauge("cortex_adaptive_limit", "Calls at a time that a callee bears", ("name",))
        self._timeouts = counter("cortex_timeouts_total", "Calls given up, by whose time was over", ("name", "whose"))
        self._fallbacks = counter("cortex_fallbacks_total", "Errors answered with a fallback", ("name",))
        self._hedges = counter("cortex_hedges_total", "Attempts beside one without an answer", ("name", "outcome"))

    def show(self, name: str, state: CircuitState) -> None:
        self._state.labels(name=name).set(_STATES[state])

    def show_limit(self, name: str, places: int) -> None:
        self._limit.labels(name=name).set(places)

    def show_shared(self, name: str, *, shared: bool) -> None:
        self._shared.labels(name=name).set(1 if shared else 0)

    def on_change(self, details: CircuitChange, /) -> None:
        self.show(details.name, details.new)
        self._changes.labels(name=details.name, state=details.new.value, cause=details.cause.value).inc()
        write: Callable[..., None] = self._logger.info
        if details.new is CircuitState.OPEN:
            write = self._logger.warning
        write(
            "circuit breaker",
            circuit=details.name,
            state=details.new.value,
            cause=details.cause.value,
            seconds=details.seconds,
            error=type(details.error).__name__ if details.error is not None else None,
        )

    def on_rejection(self, details: CircuitRejection, /) -> None:
        self._rejections.labels(name=details.name).inc()

    def on_sharing(self, details: SharingDetails, /) -> None:
        self.show_shared(details.name, shared=details.error is None)
        if details.error is None:
            self._logger.info("circuit is shared again", circuit=details.name)
        else:
            self._logger.warning("circuit goes by itself", circuit=details.name, error=_name(details.error))

    def on_retry(self, details: RetryDetails, /) -> None:
        self._retries.labels(name=details.name).inc()
        self._logger.info(
            "tried again",
            call=details.name,
            attempt=details.attempt,
            delay=round(details.delay, 3),
            error=_name(details.error),
        )

    def on_give_up(self, details: GiveUpDetails, /) -> None:
        self._given_up.labels(name=details.name, reason=details.reason.value).inc()

    def on_admission(self, details: AdmissionDetails, /) -> None:
        if details.outcome is not Admission.ADMITTED:
            self._turned_away.labels(name=details.name, outcome=details.outcome.value).inc()

    def on_limit(self, details: LimitDetails, /) -> None:
        self.show_limit(details.name, details.new)

    def on_timeout(self, details: TimeoutDetails, /) -> None:
        self._timeouts.labels(name=details.name, whose="caller" if details.by_deadline else "own").inc()

    def on_fallback(self, details: FallbackDetails, /) -> None:
        self._fallbacks.labels(name=details.name).inc()
        self._logger.info("answered with a fallback", call=details.name, error=_name(details.error))

    def on_hedge(self, details: HedgeDetails, /) -> None:
        self._hedges.labels(name=details.name, outcome="refused" if details.refused else "begun").inc()


def _name(error: Exception) -> str:
    return str(getattr(error, "code", type(error).__name__))
