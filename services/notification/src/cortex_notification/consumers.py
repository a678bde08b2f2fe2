"""The events this service hears: every replica each of them, for the clients that are connected to it."""

from typing import Final

from cortex_contracts import (
    CATALOG,
    FileStored,
    ImageProcessed,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderFailed,
    OrderStateChanged,
)
from cortex_core.chassis import hear, on
from cortex_notification.usecases import Broadcast

CONSUMERS: Final = hear(
    on(OrderCreated, Broadcast),
    on(OrderStateChanged, Broadcast),
    on(OrderCompleted, Broadcast),
    on(OrderFailed, Broadcast),
    on(OrderCancelled, Broadcast),
    on(FileStored, Broadcast),
    on(ImageProcessed, Broadcast),
    catalog=CATALOG,
)
