"""What every event bus must do. A bus's test subclasses `EventBusContract` and provides `bus` and `elsewhere`.

`bus` is made with the `hooks`, the tenants `TENANTS` and the fixture `drain` (seconds; some tests set it); `elsewhere`
is a bus on the same medium as another process would have it (the same object, where there is no such thing as another
process).
"""

import pytest

from cortex_core.testing.contracts.bus.fanout import FanOutContract
from cortex_core.testing.contracts.bus.groups import GroupContract
from cortex_core.testing.contracts.bus.manners import MannersContract
from cortex_core.testing.contracts.bus.markers import MarkerContract
from cortex_core.testing.contracts.bus.operations import EventLogContract
from cortex_core.testing.contracts.bus.retries import RetryContract
from cortex_core.testing.contracts.bus.tools import (
    DRAIN,
    QUICK,
    TENANTS,
    Down,
    Heard,
    Impossible,
    RecordingHooks,
    order_event,
)

__all__ = [
    "DRAIN",
    "QUICK",
    "TENANTS",
    "Down",
    "EventBusContract",
    "EventLogContract",
    "Heard",
    "Impossible",
    "RecordingHooks",
    "order_event",
]


class EventBusContract(GroupContract, RetryContract, FanOutContract, MannersContract, MarkerContract, EventLogContract):
    """See the module."""

    @pytest.fixture
    def hooks(self) -> RecordingHooks:
        return RecordingHooks()
