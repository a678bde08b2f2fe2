"""What the suites of the bus work with: errors, events, a handler and hooks that remember."""

from collections.abc import Sequence
from typing import Any, Final

from cortex_core.events import (
    BusErrorDetails,
    CloudEvent,
    ConsumerPolicy,
    DeliveryDetails,
    EventBus,
    GapDetails,
    Outcome,
    StrainDetails,
)
from cortex_core.kernel.errors import CortexError, Kind

TENANTS: Final = ("public", "acme")
DRAIN: Final = 1.0
QUICK: Final = ConsumerPolicy(attempts=3, backoff=0.01, max_backoff=0.02, claim_after=0.5)


class Down(CortexError):
    code, kind = "payment.down", Kind.UNAVAILABLE


class Impossible(CortexError):
    code, kind = "order.impossible", Kind.CONFLICT


class RecordingHooks:
    """Keeps what a bus tells."""

    def __init__(self) -> None:
        self.deliveries: list[DeliveryDetails] = []
        self.gaps: list[GapDetails] = []
        self.errors: list[BusErrorDetails] = []
        self.strains: list[StrainDetails] = []

    def on_delivery(self, details: DeliveryDetails, /) -> None:
        self.deliveries.append(details)

    def on_gap(self, details: GapDetails, /) -> None:
        self.gaps.append(details)

    def on_error(self, details: BusErrorDetails, /) -> None:
        self.errors.append(details)

    def on_strain(self, details: StrainDetails, /) -> None:
        self.strains.append(details)

    def outcomes(self) -> list[Outcome]:
        return [details.outcome for details in self.deliveries]


class Heard:
    """A handler that keeps what it hears, and fails as often as it is told to: `fails` maps subjects to errors."""

    def __init__(self, **fails: Sequence[Exception]) -> None:
        self.events: list[CloudEvent] = []
        self._fails = {subject: list(errors) for subject, errors in fails.items()}

    async def __call__(self, event: CloudEvent) -> None:
        self.events.append(event)
        if self._fails.get(event.subject):
            raise self._fails[event.subject].pop(0)

    @property
    def numbers(self) -> list[int]:
        return [event.data["number"] for event in self.events]


def order_event(number: int = 0, *, subject: str = "ord_1", type: str = "order.created", **more: Any) -> CloudEvent:  # noqa: A002 - CloudEvents' own word
    return CloudEvent.about(type, source="/test", subject=subject, data={"number": number}, **more)


async def dead(bus: EventBus, group: str, count: int) -> bool:
    return len(await bus.dead_letters(group)) == count
