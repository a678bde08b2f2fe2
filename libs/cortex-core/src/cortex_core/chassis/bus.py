"""What the bus tells becomes metrics and log lines, under the same names in every service."""

from cortex_core.events.delivery import surroundings
from cortex_core.events.hooks import BusErrorDetails, DeliveryDetails, GapDetails, Outcome, StrainDetails
from cortex_core.kernel.context import Context, use_context
from cortex_core.observability import Logger, MetricsCollector, Repeats


class BusReporter:
    """Implements `events.hooks.BusHooks`. A line about an event is of that event's tenant and trace, not of the
    task that happened to deliver it."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._repeats = Repeats()
        self._deliveries = metrics.create_counter(
            "cortex_bus_deliveries_total", "Deliveries by how they ended", ("topic", "group", "outcome")
        )
        self._gap_events = metrics.create_counter(
            "cortex_bus_gap_events_total", "Events that fan-out missed and took from the stream", ("topic",)
        )
        self._errors = metrics.create_counter("cortex_bus_errors_total", "Times a loop of the bus had to start over")

        self._strains = metrics.create_counter(
            "cortex_bus_strains_total",
            "Times a log lost, or was about to lose, what a group needs",
            ("topic", "strain"),
        )

    def on_delivery(self, details: DeliveryDetails, /) -> None:
        self._deliveries.labels(topic=details.topic, group=details.group or "", outcome=details.outcome.value).inc()
        if details.outcome is Outcome.DELIVERED:
            return
        event = details.event
        with use_context(surroundings(event) if event else Context()):
            self._logger.warning(
                "delivery went wrong",
                outcome=details.outcome.value,
                group=details.group,
                event_id=event.id if event else None,
                event_type=event.type if event else None,
                attempt=details.attempt,
                delay=details.delay,
                error=repr(details.error),
            )

    def on_gap(self, details: GapDetails, /) -> None:
        self._gap_events.labels(topic=details.topic).inc(details.filled)
        with use_context(Context(tenant=details.tenant)):
            self._logger.warning("gap in the broadcast", topic=details.topic, filled=details.filled, lost=details.lost)

    def on_error(self, details: BusErrorDetails, /) -> None:
        self._errors.inc()
        if self._repeats.worth_saying(repr(details.error)):  # whichever loop meets it first: one Redis, one story
            self._logger.warning(
                "bus trouble",
                work=details.work,
                failures=details.failures,
                delay=details.delay,
                error=repr(details.error),
                setting="CORTEX_REDIS_URL",
            )

    def on_strain(self, details: StrainDetails, /) -> None:
        self._strains.labels(topic=details.topic, strain=details.strain.value).inc()
        with use_context(Context(tenant=details.tenant)):
            self._logger.error(
                "a log is under strain",
                topic=details.topic,
                strain=details.strain.value,
                group=details.group,
                entries=details.entries,
                seconds=details.seconds,
            )
