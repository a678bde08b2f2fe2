"""Binary as text, in the four bases a CID is met in (https://github.com/multiformats/multibase): `f` base16, `b` base32
and `k` base36 in lower case without padding, `z` base58btc (Bitcoin's alphabet).

Each value has one text: what decodes but would be written otherwise (padding, spare bits, the other case) is refused,
so that no content has two names. base36 and base58btc take quadratic time: the caller bounds the length, as `cid.py`
does.
"""

import base64
import re
from collections.abc import Callable
from typing import Final

_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def encode(base: str, data: bytes) -> str:
    """`data` behind its prefix letter. Raises KeyError for a base that is not one of ours."""
    return base + _ENCODERS[base](data)


def decode(text: str) -> bytes:
    """The inverse of `encode`. Raises ValueError."""
    base, body = text[:1], text[1:]
    if base not in _DECODERS:
        raise ValueError(f"base {base!r} is not one of {', '.join(_DECODERS)}")
    data = _DECODERS[base](body)
    if _ENCODERS[base](data) != body:
        raise ValueError(f"not the canonical text in base {base!r}")
    return data


def encode_base58(data: bytes) -> str:
    return _positional(data, _BASE58)


def decode_base58(text: str) -> bytes:
    """Raises ValueError."""
    return _from_positional(text, _BASE58)


def _encode_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _decode_base32(text: str) -> bytes:
    if not re.fullmatch("[a-z2-7]*", text):  # also keeps non-ASCII letters away, whose upper() may be ASCII
        raise ValueError("a letter outside of base32")
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))  # its binascii.Error is a ValueError


def _positional(data: bytes, alphabet: str) -> str:
    """`data` as one big-endian number; each leading zero byte is one leading zero digit (as Bitcoin has it)."""
    number, digits = int.from_bytes(data), []
    while number:
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return alphabet[0] * zeros + "".join(reversed(digits))


def _from_positional(text: str, alphabet: str) -> bytes:
    number = 0
    for letter in text:
        number = number * len(alphabet) + alphabet.index(letter)  # its ValueError names the letter's absence
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


_ENCODERS: Final[dict[str, Callable[[bytes], str]]] = {
    "f": bytes.hex,
    "b": _encode_base32,
    "k": lambda data: _positional(data, _BASE36),
    "z": encode_base58,
}
_DECODERS: Final[dict[str, Callable[[str], bytes]]] = {
    "f": bytes.fromhex,
    "b": _decode_base32,
    "k": lambda text: _from_positional(text, _BASE36),
    "z": decode_base58,
}
