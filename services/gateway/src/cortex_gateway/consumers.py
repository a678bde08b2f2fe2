"""The events that the gateway hears: in every replica, those by which the route table lets kept answers go."""

from typing import Final

from cortex_contracts import CATALOG
from cortex_core.chassis import hear, on
from cortex_gateway.routes import ROUTES
from cortex_gateway.usecases import PurgeAnswers

_PURGING: Final = sorted({event for route in ROUTES if route.caching for event in route.caching.purged_by})

CONSUMERS: Final = hear(*(on(CATALOG[event], PurgeAnswers) for event in _PURGING), catalog=CATALOG)
