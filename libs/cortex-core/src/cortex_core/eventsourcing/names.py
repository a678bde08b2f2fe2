"""Names: what streams, ids, types, topics and consumers may be called, alike in every store.

PostgreSQL's text has no NUL, UTF-8 no lone surrogate, and an entry of an index a third of a page at most. What one
store cannot keep no store takes: so a service learns of it before it moves to another.
"""

from typing import Final

from cortex_core.eventsourcing.errors import UnstorableEvent

MAX_NAME: Final = 512
"""Bytes of UTF-8."""


def is_storable(name: object) -> bool:
    """Whether a store can hold it. What it cannot hold it does not hold: reading such a stream finds nothing."""
    if not isinstance(name, str) or "\0" in name:
        return False
    try:
        return len(name.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return False


def check_names(*names: str) -> None:
    """Raises UnstorableEvent."""
    for name in names:
        if not is_storable(name):
            raise UnstorableEvent(
                f"no store takes the name {name!r:.40}: it has a NUL, is no UTF-8, or has more than {MAX_NAME} bytes"
            )
