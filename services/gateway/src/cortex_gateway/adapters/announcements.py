"""That a key has ended: forgotten here at once, and told to every replica of every service over the bus.

Refuses to fail: the key has ended by then, whatever the bus says, and who is not told asks the store within seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from cortex_contracts import EventData, KeyRevoked, KeyRotated
from cortex_core.events import CloudEvent, EventBus
from cortex_core.kernel import CortexError
from cortex_core.observability import Logger
from cortex_core.security.api_keys import ApiKey
from cortex_core.security.api_keys.issuing import Ending

_PATIENCE: Final = 1.0  # seconds that the answer to a revocation waits for the bus


class BusAnnouncements:
    """An `Announce`. `forget`: whoever asks this process next is asked for the key's record."""

    def __init__(self, bus: EventBus, logger: Logger, forget: Callable[[str], object]) -> None:
        self._bus = bus
        self._forget = forget
        self._logger = logger

    async def __call__(self, ending: Ending, key: ApiKey) -> None:
        self._forget(key.id)
        data = _data(ending, key)
        event = CloudEvent.about(
            data.type,
            source="/gateway",
            subject=key.id,
            data=data.wire(),
            tenant=key.tenant,
            dataschema=data.dataschema(),
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._bus.publish([event])
        except (CortexError, TimeoutError) as error:
            self._logger.warning("an ended key was not announced", key_id=key.id, error=repr(error))


def _data(ending: Ending, key: ApiKey) -> EventData:
    if ending == "revoked":
        return KeyRevoked(key_id=key.id, revoked_by=key.revoked_by or "")
    replaced = key.secrets[1].valid_until  # older ones keep their own
    grace = (replaced - key.rotated_at).total_seconds() if replaced and key.rotated_at else 0.0
    return KeyRotated(key_id=key.id, rotated_by=key.rotated_by or "", grace=grace)
