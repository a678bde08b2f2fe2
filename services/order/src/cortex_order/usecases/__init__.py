"""What the service does, one verb a class. Each is safe to call again after any interruption."""

from dataclasses import dataclass

from cortex_order.usecases.cancelling import CancelOrder
from cortex_order.usecases.carrying import CarryOut
from cortex_order.usecases.placing import PlaceOrder
from cortex_order.usecases.processing import Backoff, IsProcessing, Patience, ProcessOrder
from cortex_order.usecases.reading import GetOrder, GetOrderAt, ListOrders, TellHistory
from cortex_order.usecases.repeating import KeyInProgress, KeyReused, Placed, PlaceOnce

__all__ = [
    "Backoff",
    "CancelOrder",
    "CarryOut",
    "GetOrder",
    "GetOrderAt",
    "IsProcessing",
    "KeyInProgress",
    "KeyReused",
    "ListOrders",
    "Patience",
    "PlaceOnce",
    "PlaceOrder",
    "Placed",
    "ProcessOrder",
    "TellHistory",
    "UseCases",
]


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    place: PlaceOrder
    place_once: PlaceOnce
    get: GetOrder
    get_at: GetOrderAt
    history: TellHistory
    listing: ListOrders
    cancel: CancelOrder
