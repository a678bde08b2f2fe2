"""The memo: what was found out about a credential, so that it is verified once and not at every request.

Owns its bounds: nobody is remembered for longer than `ttl` seconds, nor beyond the credential's own end, nor after
`forget`; a refusal for `refused_ttl`, so that a flood of one bad token costs nothing. The two have rooms of their own:
no number of bad tokens drives a good one out. Refuses to hold credentials: its keys are digests under a secret of the
process, so a dump of its memory shows none, and nobody can choose two that collide.
"""

import os
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

from cortex_core.kernel.clock import Clock
from cortex_core.kernel.principal import Principal
from cortex_core.security.credentials import Credential, Kind
from cortex_core.security.errors import InvalidCredential

Known = tuple[Principal, float]
"""Somebody, and until when (a reading of the monotonic clock) it holds that it is he."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Memo:
    """`ttl`, `refused_ttl` in seconds; `capacity` is how many are remembered at most, of either sort."""

    def __init__(self, clock: Clock, *, ttl: float = 60.0, refused_ttl: float = 5.0, capacity: int = 8192) -> None:
        self._clock = clock
        self._ttl = ttl
        self._refused_ttl = refused_ttl
        self._capacity = capacity
        self._public, self._internal = os.urandom(32), os.urandom(32)
        self._known: dict[bytes, Known] = {}
        self._refused: dict[bytes, tuple[str, str, float]] = {}
        self.monotonic = clock.monotonic
        self.generation = 0
        """Changes with every `forget`. What was asked for before is not to be kept after it: see `keep`."""
        self._listeners: list[Callable[[str | None], object]] = []

    def listen(self, listener: Callable[[str | None], object]) -> None:
        """`listener` is told the id of every key that is forgotten; None: everybody is, who has a token."""
        self._listeners.append(listener)

    def who(self, value: bytes) -> Principal | None:
        """Whose the public credential (a JWT, an API key) is, where that is known."""
        entry = self.known(value)
        return None if entry is None else entry[0]

    def known(self, value: bytes) -> Known | None:
        """The same, and until when that holds."""
        entry = self._known.get(blake2b(value, digest_size=16, key=self._public).digest())
        return entry if entry is not None and entry[1] > self.monotonic() else None

    def who_inside(self, value: bytes) -> Principal | None:
        """The same for an internal token. Each sort has its own digests: neither can pass for the other."""
        entry = self.known_inside(value)
        return None if entry is None else entry[0]

    def known_inside(self, value: bytes) -> Known | None:
        entry = self._known.get(blake2b(value, digest_size=16, key=self._internal).digest())
        return entry if entry is not None and entry[1] > self.monotonic() else None

    def refusal(self, credential: Credential) -> InvalidCredential | None:
        """How the credential was refused a moment ago."""
        reason, message, until = self._refused.get(self._digest(credential), ("", "", 0.0))
        return InvalidCredential(reason, message) if reason and until > self.monotonic() else None

    def keep(self, credential: Credential, principal: Principal, since: int) -> None:
        """`since`: the generation when it was asked for. If something was forgotten in between, this may be it."""
        if since != self.generation:
            return
        life = self._ttl
        if principal.expires_at is not None:
            life = min(life, principal.expires_at - (self._clock.now() - _EPOCH).total_seconds())
        if life > 0:
            _make_room(self._known, self._capacity)
            self._known[self._digest(credential)] = (principal, self.monotonic() + life)

    def keep_refusal(self, credential: Credential, refusal: InvalidCredential) -> None:
        _make_room(self._refused, self._capacity)
        until = self.monotonic() + self._refused_ttl
        self._refused[self._digest(credential)] = (refusal.reason, refusal.message, until)

    def forget(self, key_id: str) -> None:
        """Nothing is known of this API key any more; its next use asks."""
        self.generation += 1
        for digest in [digest for digest, (who, _) in self._known.items() if who.key_id == key_id]:
            del self._known[digest]
        self._tell(key_id)

    def clear(self) -> None:
        """The same for everybody: of an issuer's keys, one is gone."""
        self.generation += 1
        self._known.clear()
        self._refused.clear()
        self._tell(None)

    def __len__(self) -> int:
        return len(self._known) + len(self._refused)

    def _tell(self, key_id: str | None) -> None:
        for listener in self._listeners:
            listener(key_id)

    def _digest(self, credential: Credential) -> bytes:
        key = self._internal if credential.kind is Kind.TOKEN else self._public
        return blake2b(credential.value, digest_size=16, key=key).digest()


def _make_room(entries: MutableMapping[bytes, Any], capacity: int) -> None:
    """The oldest goes: it would have been the first to be asked for again anyway."""
    if len(entries) >= capacity:
        del entries[next(iter(entries))]
