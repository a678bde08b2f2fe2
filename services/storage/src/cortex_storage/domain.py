"""A stored file: what it is, what may be said of it, what is refused. No I/O, no framework."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cortex_core.ipfs import Cid
from cortex_core.kernel import CortexError, Kind

_MEDIA_TYPE: Final = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}", re.ASCII
)  # RFC 6838
_SAYS_NOTHING: Final = {
    "application/octet-stream",  # any bytes
    "application/x-www-form-urlencoded",  # what curl --data-binary sends unless told otherwise
}

# What a browser shows without running anything in it. The rest (HTML, SVG, XML …) goes out as plain bytes.
_HARMLESS: Final = re.compile(
    r"image/(?:png|jpeg|gif|webp|avif|bmp)|(?:audio|video)/[a-z0-9.+-]+|text/(?:plain|csv)"
    r"|application/(?:json|pdf|zip|gzip|x-tar|wasm)"
)


class FileNotFound(CortexError):
    """No such file, or not the caller's: the two look the same."""

    code, kind = "file.not-found", Kind.NOT_FOUND

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"there is no file {cid}", cid=str(cid))


class FileTooLarge(CortexError):
    """More bytes than one file may have. `limit` in bytes."""

    code, kind = "file.too-large", Kind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"a file has at most {limit} bytes here", limit=limit)


class FileDamaged(CortexError):
    """A file we have acknowledged cannot be given back: a block is missing or broken. Storing it again repairs it."""

    code, kind = "file.damaged", Kind.INTERNAL

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"file {cid} is damaged; storing the same bytes again repairs it", cid=str(cid))


class StorageUnavailable(CortexError):
    """The blocks' disk is full, gone or failing. Nothing was acknowledged."""

    code, kind = "storage.unavailable", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("files can be neither stored nor read right now")


class InvalidCursor(CortexError):
    """Not a cursor of this list."""

    code, kind = "file.invalid-cursor", Kind.INVALID

    def __init__(self) -> None:
        super().__init__("this cursor does not belong to this list; begin without one")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file under its CID (always version 1). `size` in bytes; `media_type` as whoever stored it first called it."""

    cid: Cid
    size: int
    media_type: str | None
    created_at: datetime

    @property
    def served_as(self) -> str:
        """The media type under which it may be given to a browser."""
        harmless = self.media_type is not None and _HARMLESS.fullmatch(self.media_type)
        return self.media_type if harmless and self.media_type else "application/octet-stream"


def media_type_of(content_type: str | None) -> str | None:
    """What a Content-Type header tells about a file: `type/subtype` in lower case, without parameters; None where it
    is absent, malformed, or says no more than that these are bytes."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    return essence if _MEDIA_TYPE.fullmatch(essence) and essence not in _SAYS_NOTHING else None
