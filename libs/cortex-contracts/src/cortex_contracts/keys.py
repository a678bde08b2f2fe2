"""What the gateway says of API keys. The event's subject is the key's id; nothing in it is secret."""

from typing import ClassVar

from cortex_contracts.event import EventData


class KeyRevoked(EventData):
    """A key opens nothing any more. Whoever remembers it forgets it."""

    type: ClassVar[str] = "key.revoked"
    key_id: str
    revoked_by: str


class KeyRotated(EventData):
    """A key has another secret; the one before holds for `grace` seconds, which may be none."""

    type: ClassVar[str] = "key.rotated"
    key_id: str
    rotated_by: str
    grace: float
