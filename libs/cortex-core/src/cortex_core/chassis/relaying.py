"""Relaying: a service's outbox joined to the bus, and what is kept in its store trimmed, while a block runs.

Owns the join of two blocks that do not know each other, and what they tell as metrics and log lines, under the same
names in every service. Next: `eventsourcing/relay.py` says how it works.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cortex_core.chassis.explaining import variable_behind
from cortex_core.chassis.platform import Platform
from cortex_core.events import CloudEvent, EventBus, Marker, MarkerMoved
from cortex_core.observability import Repeats
from cortex_core.observability.health import Status

if TYPE_CHECKING:
    from cortex_core.eventsourcing import (
        BacklogDetails,
        EventStore,
        Leadership,
        LeadershipDetails,
        LossDetails,
        Message,
        OnLeadership,
        PublishedDetails,
        Relay,
        RelayError,
        RepairDetails,
        TrimDetails,
        Trimming,
    )

SETTLING: Final = 1.0  # seconds that the last events have at the end of a service

LATE: Final = 10.0
"""Seconds that a message may wait, before the relay is reported as degraded."""


class BusWire:
    """`eventsourcing.Wire` over the bus: the number of the last batch is a marker, named for the service."""

    def __init__(self, bus: EventBus, name: str) -> None:
        self._bus = bus
        self._name = name

    async def last(self) -> int:
        return await self._bus.marker(self._name) or 0

    async def publish(self, messages: "Sequence[Message]", batch: int, *, after: int) -> int:
        events = [CloudEvent.from_json(message.payload) for message in messages]
        try:
            await self._bus.publish(events, marker=Marker(self._name, batch, after))
        except MarkerMoved as moved:
            return moved.value
        return batch


class RelayReporter:
    """Implements `eventsourcing.RelayHooks`. What waits is told by the leader: a follower's figures are 0."""

    def __init__(self, platform: Platform) -> None:
        self._repeats = Repeats(platform.clock)
        metrics = platform.metrics
        self._platform = platform
        self._pending = metrics.create_gauge("cortex_hub_outbox_pending", "Messages that wait for the bus", merge="max")
        self._age = metrics.create_gauge(
            "cortex_hub_outbox_oldest_seconds", "How long the first message that waits has waited", merge="max"
        )
        self._leader = metrics.create_gauge("cortex_relay_leader", "1 where this replica relays")
        self._messages = metrics.create_counter("cortex_relay_messages_total", "Messages that reached the bus")
        self._losses = metrics.create_counter(
            "cortex_relay_losses_total", "Times the bus was found to have lost events"
        )
        self._repaired = metrics.create_counter(
            "cortex_relay_repaired_total", "Messages that were published again because the bus had lost them"
        )
        self._errors = metrics.create_counter("cortex_relay_errors_total", "Rounds that failed", ("stage",))

    def on_turn(self, details: "LeadershipDetails", /) -> None:
        if details.turn == "trouble":
            self._platform.logger.warning("trouble with a lease", **details.fields())
            return
        self._leader.set(details.turn == "gained")
        self._pending.set(0)
        self._age.set(0)
        self._platform.logger.info("leadership", **details.fields())

    def on_backlog(self, details: "BacklogDetails", /) -> None:
        self._pending.set(details.pending)
        self._age.set(_age(details.oldest, self._platform))

    def on_published(self, details: "PublishedDetails", /) -> None:
        self._messages.inc(details.messages)

    def on_loss(self, details: "LossDetails", /) -> None:
        self._losses.inc()
        self._platform.logger.warning("the bus has lost events", has=details.has, sent=details.sent)

    def on_repair(self, details: "RepairDetails", /) -> None:
        self._repaired.inc(details.messages)
        write = self._platform.logger.warning if details.complete else self._platform.logger.debug
        write("the bus is repaired" if details.complete else "repairing the bus", batch=details.batch)

    def on_error(self, details: "RelayError", /) -> None:
        self._errors.labels(stage=details.stage).inc()
        if self._repeats.worth_saying(f"{details.stage} {details.error!r}"):
            setting = variable_behind(self._platform.settings, details.error)
            self._platform.logger.warning("relay waits", **details.fields(), setting=setting)


class TrimReporter:
    """What trimming tells, and what its lease does."""

    def __init__(self, platform: Platform) -> None:
        self._logger = platform.logger
        self._trimmed = platform.metrics.create_counter(
            "cortex_relay_trimmed_total", "Rows that were kept for long enough", ("table",)
        )

    def on_trim(self, details: "TrimDetails", /) -> None:
        self._trimmed.labels(table="outbox").inc(details.sent)
        self._trimmed.labels(table="inbox").inc(details.seen)
        if details.error is not None:
            self._logger.warning("trimming waits for its next time", error=repr(details.error))

    def on_turn(self, details: "LeadershipDetails", /) -> None:
        if details.turn == "trouble":
            self._logger.warning("trouble with a lease", **details.fields())


@asynccontextmanager
async def relaying(store: "EventStore[Any]", platform: Platform) -> "AsyncIterator[Relay]":
    """While the block runs, what waits in the store's outbox goes to the bus, in order, and again where the bus has
    lost it; one replica does it, another takes over. What was kept for long enough is trimmed.

    When the block ends, what still waits has a second to go, and the lease is given back. The relay has a place in the
    health report, which it degrades while it fails, and on every replica where a message waits for more than 10 s:
    then one that hangs, or nobody, relays.
    """
    from cortex_core.eventsourcing import RELAY, Relay  # late: not every service has a database

    reporter, wire = RelayReporter(platform), BusWire(platform.bus, platform.settings.service)
    relay = Relay(
        store.outbox,
        wire,
        _leadership(store, platform, RELAY, reporter.on_turn),
        clock=platform.clock,
        hooks=reporter,
    )
    trim = _trimming(store, platform, wire.last, TrimReporter(platform))

    async def check() -> Mapping[str, Any]:
        waits = _age(await store.outbox.oldest_pending(), platform)
        status = Status.DEGRADED if relay.failing or waits > LATE else Status.UP
        if not relay.leads:
            return {"status": status, "leader": False}
        pending = await store.outbox.count_pending()
        return {"status": status, "leader": True, "pending": pending, "oldestSeconds": round(waits, 3)}

    platform.health.register("relay", check, critical=False)
    async with platform.tasks.during(trim.run, "trimming"), platform.tasks.during(relay.run, "relay"):
        try:
            yield relay
        finally:
            await relay.settle(SETTLING)


@asynccontextmanager
async def trimming(store: "EventStore[Any]", platform: Platform) -> AsyncIterator[None]:
    """For a service that hears events and sends none: what its inbox has kept for long enough goes."""
    trim = _trimming(store, platform, _nothing, TrimReporter(platform))
    async with platform.tasks.during(trim.run, "trimming"):
        yield


def _trimming(
    store: "EventStore[Any]", platform: Platform, has: Callable[[], Awaitable[int]], reporter: TrimReporter
) -> "Trimming":
    from cortex_core.eventsourcing import TRIM, Trimming, TrimSettings

    settings = TrimSettings(
        sent=timedelta(days=platform.settings.outbox_days), seen=timedelta(days=platform.settings.inbox_days)
    )
    leadership = _leadership(store, platform, TRIM, reporter.on_turn)
    return Trimming(
        store.outbox, store.inbox, leadership, has, settings=settings, clock=platform.clock, on_trim=reporter.on_trim
    )


def _leadership(store: "EventStore[Any]", platform: Platform, name: str, on_turn: "OnLeadership") -> "Leadership":
    from cortex_core.eventsourcing import Leadership

    ttl = platform.settings.lease_ttl
    return Leadership(store.leases, name, ttl=ttl, clock=platform.clock, on_turn=on_turn)


def _age(oldest: datetime | None, platform: Platform) -> float:
    """Seconds; 0 where nothing waits."""
    return 0.0 if oldest is None else max(0.0, (platform.clock.now() - oldest).total_seconds())


async def _nothing() -> int:
    """The newest batch of a bus to which nothing is sent."""
    return 0
