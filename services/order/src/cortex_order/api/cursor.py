"""Cursors: where a list goes on, as text that means nothing to its reader and is refused when it was changed.

24 bytes as 32 characters of URL-safe base 64, with no bit to spare: 16 of the last order's id, 8 of a digest over it,
over what was asked for and by which tenant, and over the version of this layout. The digest has no key: a cursor grants
nothing (the tenant comes from the request), so all there is to notice is a cursor that was damaged, made up, or belongs
to another list.
"""

import base64
import binascii
import hashlib

from cortex_core.kernel import CortexError, Kind, current
from cortex_order.domain import OrderId, Status, order_id


class InvalidCursor(CortexError):
    """Not a cursor of this list."""

    code, kind = "order.invalid-cursor", Kind.INVALID

    def __init__(self) -> None:
        super().__init__("this cursor does not belong to this list; begin without one")


def cursor_of(after: OrderId, status: Status | None) -> str:
    place = bytes.fromhex(after.removeprefix("ord_"))
    return base64.urlsafe_b64encode(place + _digest(place, status)).decode()


def parse_cursor(cursor: str, status: Status | None) -> OrderId:
    """The inverse of `cursor_of`. Raises InvalidCursor."""
    try:
        content = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    place, digest = content[:16], content[16:]
    if len(cursor) != 32 or digest != _digest(place, status):
        raise InvalidCursor
    return order_id(f"ord_{place.hex()}")


def _digest(place: bytes, status: Status | None) -> bytes:
    return hashlib.sha256(f"orders/2|{current().tenant}|{status or ''}|".encode() + place).digest()[:8]
