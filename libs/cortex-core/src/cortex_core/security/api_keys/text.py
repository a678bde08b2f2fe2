"""What a key looks like: `ck_<id>_<secret><checksum>`.

`id`: the 32 hexadecimal digits of the key's id (`key_<id>`), to look its record up by. `secret`: 256 random bits as 43
characters of base 62. `checksum`: CRC-32 (IEEE 802.3) of all that stands before it, as 6 of base 62: a typo, a key cut
off in a copy, or something that only resembles one is told without asking anybody, and a scanner that looks for leaked
keys (`PATTERN`) is never wrong about one. It protects nothing else: the secret does.

Refuses to show a secret: no representation has it.
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

PATTERN: Final = re.compile(r"ck_([0-9a-f]{32})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
BEGINNING: Final = "ck_"
LENGTH: Final = 85

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES: Final = 32
_ID: Final = re.compile(r"key_[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its holder has it. `text` is the whole of it, checksum included."""

    key_id: str
    text: str = field(repr=False)


def new_key(key_id: str) -> KeyText:
    """A new secret for `key_id`, from the system's source of randomness. Raises ValueError for what is no key's id."""
    if not is_key_id(key_id):
        raise ValueError(f"a key's id is key_ and 32 hexadecimal digits, not {key_id[:80]!r}")
    secret = _base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), 43)
    body = f"{BEGINNING}{key_id.removeprefix('key_')}_{secret}"
    return KeyText(key_id, body + _checksum(body))


def read_key(text: str) -> KeyText | None:
    """None for what is no key, or was one before somebody mistyped it. Bounded, whatever comes."""
    if len(text) != LENGTH:
        return None
    found = PATTERN.fullmatch(text)
    if found is None or found[3] != _checksum(text[:-6]):
        return None
    return KeyText(f"key_{found[1]}", text)


def is_key_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode("ascii")), 6)


def _base62(number: int, digits: int) -> str:
    """`number` with so many digits, the least significant last."""
    found = []
    for _ in range(digits):
        number, digit = divmod(number, 62)
        found.append(_ALPHABET[digit])
    return "".join(reversed(found))
