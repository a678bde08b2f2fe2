"""What an actor system tells becomes metrics and log lines, under the same names in every service."""

from cortex_core.actors import ActorHooks, ActorRef, DeadLetter, Directive, Failure, Passivated, Started, Terminated
from cortex_core.observability import Logger, MetricsCollector


class ActorReporter:
    """One a system: `ActorSystem(name, hooks=ActorReporter(platform.metrics, platform.logger).hooks)`.

    `cortex_actors_active` counts who has started and is in memory, between two incarnations too. The label `system` is
    a name that code has chosen; a message, which may be anybody's data, is nowhere.
    """

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._ready: set[ActorRef] = set()
        counter = metrics.create_counter
        self._active = metrics.create_gauge("cortex_actors_active", "Actors in memory", ("system",))
        self._starts = counter("cortex_actors_started_total", "Incarnations that began to receive", ("system",))
        self._passivated = counter("cortex_actors_passivated_total", "Actors that left memory", ("system",))
        self._terminated = counter("cortex_actors_terminated_total", "Actors that stopped", ("system", "reason"))
        self._failures = counter(
            "cortex_actors_failures_total", "Failures, by what was done about them", ("system", "directive")
        )
        self._restarts = counter("cortex_actors_restarts_total", "Failures that a restart followed", ("system",))
        self._dead_letters = counter(
            "cortex_actors_dead_letters_total", "Messages that nobody received", ("system", "reason")
        )

    @property
    def hooks(self) -> ActorHooks:
        """To be given to the system."""
        return ActorHooks(
            on_dead_letter=self.on_dead_letter,
            on_failure=self.on_failure,
            on_started=self.on_started,
            on_passivated=self.on_passivated,
            on_terminated=self.on_terminated,
        )

    def on_started(self, details: Started, /) -> None:
        self._starts.labels(system=details.ref.address.system).inc()
        self._ready.add(details.ref)
        self._show(details.ref)

    def on_passivated(self, details: Passivated, /) -> None:
        self._passivated.labels(system=details.ref.address.system).inc()
        self._ready.discard(details.ref)
        self._show(details.ref)

    def on_terminated(self, details: Terminated, /) -> None:
        self._terminated.labels(system=details.ref.address.system, reason=details.reason.value).inc()
        self._ready.discard(details.ref)
        self._show(details.ref)

    def on_failure(self, details: Failure, /) -> None:
        """With its traceback: who listens to failures is the only one who logs them."""
        system, directive = details.ref.address.system, details.directive
        self._failures.labels(system=system, directive=directive.value).inc()
        if directive is Directive.RESTART:
            self._restarts.labels(system=system).inc()
        write = self._logger.error if directive is Directive.STOP else self._logger.warning
        write(
            "an actor failed",
            actor=str(details.ref.address),
            directive=directive.value,
            restarts=details.restarts,
            delay=round(details.delay, 3),
            exc_info=details.error,
        )

    def on_dead_letter(self, details: DeadLetter, /) -> None:
        self._dead_letters.labels(system=details.recipient.address.system, reason=details.reason.value).inc()

    def _show(self, ref: ActorRef) -> None:
        self._active.labels(system=ref.address.system).set(len(self._ready))
