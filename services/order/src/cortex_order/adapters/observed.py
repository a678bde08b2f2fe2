"""Orders that are seen: a span for each transition, figures of all of them, and an alarm for one that cannot be read.

The span is begun before the transition is stored, so that it is the span that the stored event, and every message told
to others, name as their origin: a consumer's span is its child. One that was not stored, as far as we know, is called
an attempt. Refuses to decide anything: it wraps the ports.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from cortex_core.eventsourcing import CorruptEvent
from cortex_core.kernel import Clock, current
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_order.domain import Order, OrderEvent, OrderId, PaymentToken
from cortex_order.ports import Fact, History, Once, Orders

NEW: Final = "new"
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class OrderReporter:
    """Where what is seen goes: spans, metrics, log lines."""

    def __init__(self, tracer: Tracer, metrics: MetricsCollector, logger: Logger, clock: Clock) -> None:
        self._tracer = tracer
        self._logger = logger
        self._clock = clock
        self._transitions = metrics.create_counter(
            "cortex_hub_order_transitions_total", "Orders, by status before and after", ("before", "after")
        )
        self._seconds = metrics.create_histogram(
            "cortex_hub_order_closed_seconds", "From an order's creation to its end, by the end", _SECONDS, ("status",)
        )
        self._corrupt = metrics.create_counter(
            "cortex_hub_orders_corrupt_total", "Reads of orders whose stored events make no sense: have a look at them"
        )

    @contextmanager
    def transition(self, before: str, after: Order) -> Iterator[None]:
        """Seen as done when the block ends well."""
        attributes: dict[str, str | int] = {
            "cortex.order.id": after.id,
            "cortex.order.from": str(before),
            "cortex.order.to": str(after.status),
            "cortex.order.version": after.version,
            "cortex.tenant": current().tenant,
        }
        name = f"order {before}→{after.status}"
        with self._tracer.start_span(name, attributes=attributes) as span:
            try:
                yield
            except BaseException:
                span.update_name(f"{name} attempted")
                raise
        self._transitions.labels(before=before, after=after.status).inc()
        if after.status.is_final:
            age = (self._clock.now() - after.created_at).total_seconds()
            self._seconds.labels(status=after.status).observe(max(0.0, age))

    @contextmanager
    def reading(self) -> Iterator[None]:
        try:
            yield
        except CorruptEvent as error:
            self._corrupt.inc()
            self._logger.exception("order is corrupt", **error.details)
            raise


class ObservedOrders:
    """`Orders` around `orders`."""

    def __init__(self, orders: Orders, reporter: OrderReporter) -> None:
        self._orders = orders
        self._reporter = reporter

    async def add(
        self, order: Order, events: Sequence[OrderEvent], token: PaymentToken, once: Once | None = None
    ) -> None:
        with self._reporter.transition(NEW, order):
            await self._orders.add(order, events, token, once)

    async def load(self, order_id: OrderId) -> Order:
        with self._reporter.reading():
            return await self._orders.load(order_id)

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        if not events:
            return
        after = replace(order)
        after.apply(events)
        with self._reporter.transition(order.status, after):
            await self._orders.save(order, events)


class ObservedHistory:
    """`History` around `history`."""

    def __init__(self, history: History, reporter: OrderReporter) -> None:
        self._history = history
        self._reporter = reporter

    async def at(self, order_id: OrderId, version: int) -> Order:
        with self._reporter.reading():
            return await self._history.at(order_id, version)

    async def facts(self, order_id: OrderId, *, after: int, limit: int) -> Sequence[Fact]:
        with self._reporter.reading():
            return await self._history.facts(order_id, after=after, limit=limit)
