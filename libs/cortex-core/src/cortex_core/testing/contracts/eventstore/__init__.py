"""What every `EventStore` must do. An adapter's test subclasses the contract and provides `store`, on the suite's
`clock`, `spoil`, `spoil_snapshot`, `take_over` and `tally`.

What only a durable store can promise (kills, full disks, two processes) is tested with the SQL store.
"""

import pytest

from cortex_core.testing.contracts.eventstore.checkpoints import CheckpointsContract
from cortex_core.testing.contracts.eventstore.company import CompanyContract
from cortex_core.testing.contracts.eventstore.decisions import DecisionsContract
from cortex_core.testing.contracts.eventstore.fencing import FencingContract
from cortex_core.testing.contracts.eventstore.generations import GenerationsContract
from cortex_core.testing.contracts.eventstore.keeping import KeepingContract
from cortex_core.testing.contracts.eventstore.messages import MessagesContract
from cortex_core.testing.contracts.eventstore.names import NamesContract
from cortex_core.testing.contracts.eventstore.poison import PoisonContract
from cortex_core.testing.contracts.eventstore.projections import ProjectionsContract
from cortex_core.testing.contracts.eventstore.rebuilds import RebuildsContract
from cortex_core.testing.contracts.eventstore.snapshots import SnapshotsContract
from cortex_core.testing.contracts.eventstore.streams import StreamsContract
from cortex_core.testing.contracts.eventstore.tally import Tally
from cortex_core.testing.contracts.eventstore.terms import Spoil, SpoilSnapshot, Store, TakeOver
from cortex_core.testing.fake_clock import FakeClock

__all__ = ["EventStoreContract", "Spoil", "SpoilSnapshot", "Store", "TakeOver", "Tally"]


class EventStoreContract(
    StreamsContract,
    DecisionsContract,
    CompanyContract,
    FencingContract,
    MessagesContract,
    KeepingContract,
    NamesContract,
    SnapshotsContract,
    CheckpointsContract,
    ProjectionsContract,
    PoisonContract,
    RebuildsContract,
    GenerationsContract,
):
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

    @pytest.fixture
    def spoil_snapshot(self, store: Store) -> SpoilSnapshot:
        raise NotImplementedError("the adapter's test provides it")

    @pytest.fixture
    async def tally(self, store: Store) -> Tally:
        raise NotImplementedError("the adapter's test provides it")

    @pytest.fixture
    def take_over(self, store: Store) -> TakeOver:
        raise NotImplementedError("the adapter's test provides it")
