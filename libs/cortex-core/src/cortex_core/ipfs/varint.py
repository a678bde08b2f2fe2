"""Unsigned varints, as multiformats has them (https://github.com/multiformats/unsigned-varint): LEB128, at most nine
bytes, only the shortest form. Protobuf's are the same bytes below 2⁶³, so dag-pb uses these too."""

from typing import Final

MAX_BYTES: Final = 9


def encode(number: int) -> bytes:
    """Raises ValueError outside 0 … 2⁶³ - 1."""
    if not 0 <= number < 1 << 7 * MAX_BYTES:
        raise ValueError(f"{number} does not fit a varint of {MAX_BYTES} bytes")
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode(data: bytes, start: int = 0) -> tuple[int, int]:
    """The number at `start` and the position after it. Raises ValueError when it is cut off, too long, or padded."""
    number = 0
    for count, byte in enumerate(data[start : start + MAX_BYTES]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if byte == 0 and count:
                raise ValueError("a varint in a longer form than it needs")
            return number, start + count + 1
    raise ValueError("a varint that does not end")
