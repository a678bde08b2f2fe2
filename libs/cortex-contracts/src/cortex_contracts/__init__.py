"""What the services say to each other: the data of their events, one file a publisher. Knows no service.

`CATALOG` lists every event type there is: a type outside it is unknown and belongs in the dead letters.
"""

from typing import Final

from cortex_contracts.event import EventData
from cortex_contracts.files import FileStored
from cortex_contracts.images import ImageProcessed
from cortex_contracts.keys import KeyRevoked, KeyRotated
from cortex_contracts.orders import OrderCancelled, OrderCompleted, OrderCreated, OrderFailed, OrderStateChanged

CATALOG: Final[dict[str, type[EventData]]] = {
    data.type: data
    for data in (
        OrderCreated,
        OrderStateChanged,
        OrderCompleted,
        OrderFailed,
        OrderCancelled,
        FileStored,
        ImageProcessed,
        KeyRevoked,
        KeyRotated,
    )
}

__all__ = [
    "CATALOG",
    "EventData",
    "FileStored",
    "ImageProcessed",
    "KeyRevoked",
    "KeyRotated",
    "OrderCancelled",
    "OrderCompleted",
    "OrderCreated",
    "OrderFailed",
    "OrderStateChanged",
]
