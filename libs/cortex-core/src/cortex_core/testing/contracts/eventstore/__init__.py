"""What every `EventStore` must do. An adapter's test subclasses the contract and provides `store`, on the suite's
`clock`, and `spoil`.

What only a durable store can promise (kills, full disks, two processes) is tested with the SQL store.
"""

import pytest

from cortex_core.testing.contracts.eventstore.decisions import DecisionsContract
from cortex_core.testing.contracts.eventstore.messages import MessagesContract
from cortex_core.testing.contracts.eventstore.streams import StreamsContract
from cortex_core.testing.contracts.eventstore.terms import Spoil, Store
from cortex_core.testing.fake_clock import FakeClock

__all__ = ["EventStoreContract", "Spoil", "Store"]


class EventStoreContract(StreamsContract, DecisionsContract, MessagesContract):
    """See the module."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, clock: FakeClock) -> Store:
        raise NotImplementedError("the adapter's test provides it")

    @pytest.fixture
    def spoil(self, store: Store) -> Spoil:
        raise NotImplementedError("the adapter's test provides it")
