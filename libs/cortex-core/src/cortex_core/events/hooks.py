"""What a bus tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

The chassis supplies hooks that count and log. A hook that raises is logged and never breaks a delivery.
"""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cortex_core.events.envelope import CloudEvent

_log = logging.getLogger("cortex_core.events")


class Outcome(StrEnum):
    """How one delivery ended."""

    DELIVERED = "delivered"  # the handler returned
    RETRIED = "retried"  # it asked for another delivery, which will come
    DEAD = "dead"  # the event went to the group's dead letters
    FAILED = "failed"  # a fan-out handler raised: the event is gone for this subscriber


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """One delivery to one handler. `group` is None for a fan-out subscriber; `event` where what came was none.

    `attempt` counts from 1. `seconds` is the handler's time, `delay` (seconds) the wait before the next delivery.
    """

    topic: str
    group: str | None
    event: CloudEvent | None
    outcome: Outcome
    attempt: int
    seconds: float
    error: Exception | None = None
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class GapDetails:
    """Messages were missed: `filled` of them came from the stream; `lost` says that some were gone there too."""

    topic: str
    tenant: str
    filled: int
    lost: bool


@dataclass(frozen=True, slots=True)
class BusErrorDetails:
    """A loop of the bus met `error` and goes on in `delay` seconds. `failures` in a row, this one included.

    `work` is the loop: `consume order-projections`, `settle order-projections`, `subscribe`.
    """

    work: str
    error: Exception
    failures: int
    delay: float


class Strain(StrEnum):
    """What a log suffers from, before and after something is lost of it."""

    CUT = "cut"  # its length was reached: entries that a group had not handled are gone
    ABANDONED = "abandoned"  # a group holds old entries, and no member of it has been heard of for long


@dataclass(frozen=True, slots=True)
class StrainDetails:
    """`entries` were cut off, at most. `group` has held the oldest of its entries for `seconds`: `bus.log.forget_group`
    lets go of them."""

    topic: str
    tenant: str
    strain: Strain
    group: str | None = None
    entries: int = 0
    seconds: float = 0.0


class BusHooks(Protocol):
    """Called on the task that delivers: all of them must be quick."""

    def on_delivery(self, details: DeliveryDetails, /) -> None: ...
    def on_gap(self, details: GapDetails, /) -> None: ...
    def on_error(self, details: BusErrorDetails, /) -> None: ...
    def on_strain(self, details: StrainDetails, /) -> None: ...


class LoggingHooks:
    """What speaks where nobody else listens: trouble goes to the standard logging, success stays silent."""

    def on_delivery(self, details: DeliveryDetails, /) -> None:
        if details.outcome is Outcome.DELIVERED:
            return
        _log.warning(
            "%s %s: event %s, attempt %d: %r",
            details.group or "subscriber",
            details.outcome,
            details.event.id if details.event else "(malformed)",
            details.attempt,
            details.error,
        )

    def on_gap(self, details: GapDetails, /) -> None:
        _log.warning(
            "gap in %s of %s: %d filled, lost: %s", details.topic, details.tenant, details.filled, details.lost
        )

    def on_error(self, details: BusErrorDetails, /) -> None:
        _log.warning("%s: %r, again in %.2f s", details.work, details.error, details.delay)

    def on_strain(self, details: StrainDetails, /) -> None:
        _log.error("the log of %s of %s is %s: %r", details.topic, details.tenant, details.strain, details)


class SafeHooks:
    """The same hooks, which cannot hurt: what they raise is logged."""

    def __init__(self, hooks: BusHooks | None) -> None:
        self._hooks = hooks or LoggingHooks()

    def on_delivery(self, details: DeliveryDetails, /) -> None:
        try:
            self._hooks.on_delivery(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost an event its delivery
            _log.exception("a bus hook failed")

    def on_gap(self, details: GapDetails, /) -> None:
        try:
            self._hooks.on_gap(details)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a bus hook failed")

    def on_error(self, details: BusErrorDetails, /) -> None:
        try:
            self._hooks.on_error(details)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a bus hook failed")

    def on_strain(self, details: StrainDetails, /) -> None:
        try:
            self._hooks.on_strain(details)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a bus hook failed")
