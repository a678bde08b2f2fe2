"""The events this service counts: each once, whoever of its replicas takes it."""

from typing import Final

from cortex_analytics.usecases import CountCancellation, CountCompletion, CountCreation, CountFailure
from cortex_contracts import CATALOG, OrderCancelled, OrderCompleted, OrderCreated, OrderFailed
from cortex_core.chassis import consume, on

CONSUMERS: Final = consume(
    on(OrderCreated, CountCreation),
    on(OrderCompleted, CountCompletion),
    on(OrderFailed, CountFailure),
    on(OrderCancelled, CountCancellation),
    catalog=CATALOG,
)
