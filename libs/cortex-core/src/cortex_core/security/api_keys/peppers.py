"""Peppers: the keys of the hashes. What the store holds is of no use to whoever steals it alone.

A secret has 256 random bits, so a slow hash (argon2) would buy nothing: HMAC-SHA-256 (RFC 2104) keyed with the pepper
is as far out of reach, in 2 µs. Several peppers stand side by side while one is being replaced: the first makes new
hashes, all of them check.
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from cortex_core.security.api_keys.text import KeyText

SHORTEST: Final = 32
"""Characters of a pepper: `openssl rand -hex 32` has 64."""

DEVELOPMENT: Final = "dev-"
"""How a pepper begins that was made for a developer's machine: production refuses it."""

_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)


class Peppers:
    """Raises ValueError, without repeating any of `peppers`, for none, a short one, or one that is there twice."""

    def __init__(self, peppers: Sequence[str]) -> None:
        if not peppers:
            raise ValueError("there must be a pepper")
        if any(len(each) < SHORTEST or not _VISIBLE.fullmatch(each) for each in peppers):
            raise ValueError(f"a pepper is at least {SHORTEST} visible ASCII characters (openssl rand -hex 32)")
        self._peppers = {_id_of(each): each.encode() for each in peppers}
        if len(self._peppers) != len(peppers):
            raise ValueError("a pepper is there twice")
        self.current: Final = next(iter(self._peppers))

    @classmethod
    def of(cls, setting: str) -> "Peppers":
        """As `CORTEX_KEY_PEPPER` has them: by commas, the newest first. Raises ValueError."""
        return cls([part.strip() for part in setting.split(",") if part.strip()])

    def __repr__(self) -> str:
        return f"Peppers({', '.join(self._peppers)})"

    def digest(self, key: KeyText, pepper: str | None = None) -> bytes:
        """32 bytes over the whole text, id included: a hash moved to another key's record fits nobody. Raises
        LookupError for a pepper that is not here any more."""
        return hmac.digest(self._peppers[pepper or self.current], key.text.encode(), "sha256")

    def fits(self, key: KeyText, digest: bytes, pepper: str) -> bool:
        """In constant time. False as well where the pepper of the hash was taken away."""
        return pepper in self._peppers and hmac.compare_digest(self.digest(key, pepper), digest)


def is_development(pepper: str) -> bool:
    return pepper.strip().startswith(DEVELOPMENT)


def _id_of(pepper: str) -> str:
    """By which hashes say what they were made with: eight digits of a digest that tells nothing else."""
    return blake2b(pepper.encode(), digest_size=4, person=b"cortex-pepper").hexdigest()
