"""The two pieces of metadata that change how pixels look: EXIF's orientation and the ICC profile's colour space."""

import struct
from typing import Final

_PREFIX: Final = b"Exif\0\0"
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
MAX_PROFILE: Final = 1 << 20
MAX_EXIF: Final = 1 << 20  # of which no more is looked at


def orientation_of(exif: bytes | None) -> int:
    """The orientation (1 to 8) that an EXIF block states in its first directory (CIPA DC-008, 4.6.2).

    1 where it states none, or is broken: other readers show such an image upright too."""
    tiff = (exif or b"").removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for at in range(start + 2, min(start + 2 + entries * 12, len(tiff) - 11), 12):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1


def exif_with(orientation: int) -> bytes:
    """The smallest EXIF block that states `orientation`."""
    directory = struct.pack("<HHHIHHI", 1, _ORIENTATION, _SHORT, 1, orientation, 0, 0)
    return _PREFIX + b"II*\0" + struct.pack("<I", 8) + directory


def is_rgb_profile(profile: bytes | None) -> bool:
    """Whether the profile's header names RGB as its colour space (ICC.1:2022, 7.2.8)."""
    return profile is not None and profile[16:20] == b"RGB " and profile[36:40] == b"acsp"
