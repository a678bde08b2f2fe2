"""What may be done with keys, and by whom: made, shown, rotated, revoked.

Owns the rules: nobody hands out what they do not have themselves, be it a scope or, with a key that ends, a longer
life, neither in a new key nor by taking the secret of an old one; a key is its tenant's; a secret is shown once.
Refuses to know routes: whoever asks has been let in by then. What ends a secret is told to `announce`, so that it ends
everywhere; should that fail, `revocations` hears of it from the store.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cortex_core.kernel.clock import Clock, SystemClock, rfc3339
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id
from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys.peppers import Peppers
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.store import MAX_PAGE, ApiKeys, KeyNotFound, KeyRevoked
from cortex_core.security.api_keys.text import is_key_id, new_key

MAX_NAME: Final = 100
MAX_SCOPES: Final = 32
MIN_LIFE: Final = 60.0
MAX_LIFE: Final = 5 * 366 * 86_400.0
"""Seconds that a key with an end may live."""
MAX_GRACE: Final = 7 * 86_400.0
"""Seconds that a secret may hold on beside the one that replaced it."""

MAX_SECRETS: Final = 3
"""Secrets of a key that hold at once: the present one, and those that have their grace."""

SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}", re.ASCII)

Ending = Literal["revoked", "rotated"]
Announce = Callable[[Ending, ApiKey], Awaitable[None]]
"""Tells everybody that a key, or a secret of it, has ended."""


class InvalidKeyRequest(CortexError):
    """Says something of a key that cannot be."""

    code, kind = "key.invalid", Kind.UNPROCESSABLE


class ScopesExceeded(CortexError):
    """Who asks does not have these scopes themselves."""

    code, kind = "key.scopes-exceeded", Kind.FORBIDDEN

    def __init__(self, scopes: Collection[str]) -> None:
        names = sorted(scopes)
        super().__init__(f"you cannot hand out what you do not have: {', '.join(names)}", scopes=names)


class LifeExceeded(CortexError):
    """Who asks ends sooner themselves."""

    code, kind = "key.life-exceeded", Kind.FORBIDDEN

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"your own key ends at {rfc3339(until)}: with it nobody gets one that holds longer", until=rfc3339(until)
        )


class TooManySecrets(CortexError):
    """As many of a key's old secrets have their grace as may."""

    code, kind = "key.too-many-secrets", Kind.CONFLICT

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"{MAX_SECRETS - 1} old secrets of this key hold on, the next to end at {rfc3339(until)}; rotate it then,"
            " or without a grace, which ends them all at once",
            until=rfc3339(until),
        )


@dataclass(frozen=True, slots=True)
class KeyWish:
    """A key to be. `subject`: whom it speaks for (None: itself). `lives` in seconds (None: until it is revoked)."""

    name: str
    scopes: frozenset[str]
    subject: str | None = None
    plan: str | None = None
    lives: float | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its secret, which nobody can look up again."""

    key: ApiKey
    secret: str = field(repr=False)


async def _to_nobody(_ending: Ending, _key: ApiKey) -> None:
    """There is only one process."""


class KeyDesk:
    """See the module. `plans`: the names of the limits that a key may be given. `known_scopes`: what there is to have.
    All methods raise KeysUnavailable."""

    def __init__(
        self,
        keys: ApiKeys,
        peppers: Peppers,
        *,
        plans: Collection[str] = (),
        known_scopes: Collection[str] | None = None,
        announce: Announce = _to_nobody,
        clock: Clock | None = None,
    ) -> None:
        self._keys = keys
        self._peppers = peppers
        self._plans = frozenset(plans)
        self._known_scopes = None if known_scopes is None else frozenset(known_scopes)
        self._announce = announce
        self._clock = clock or SystemClock()

    async def create(self, by: Principal, wish: KeyWish) -> Issued:
        """By a key that ends, without a life of its own, it ends when that does. Raises InvalidKeyRequest,
        ScopesExceeded, LifeExceeded, TooManyKeys."""
        self._check(wish)
        _check_scopes(by, wish.scopes)
        now = self._clock.now()
        key_id = new_id("key")
        text = new_key(key_id)
        key = ApiKey(
            id=key_id,
            tenant=by.tenant,
            name=wish.name,
            subject=wish.subject or key_id,
            scopes=wish.scopes,
            plan=wish.plan,
            created_at=now,
            created_by=_name(by),
            secrets=(SecretHash(self._peppers.digest(text), self._peppers.current, now),),
            expires_at=_end(by, None if wish.lives is None else now + timedelta(seconds=wish.lives)),
        )
        await self._keys.add(key)
        return Issued(key, text.text)

    async def get(self, by: Principal, key_id: str) -> ApiKey:
        """Raises KeyNotFound."""
        return await self._keys.get(by.tenant, _checked_id(key_id))

    async def page(self, by: Principal, *, limit: int, before: str | None = None) -> list[ApiKey]:
        """The newest first, up to `limit` (1 to MAX_PAGE); those older than `before`."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidKeyRequest(f"limit must be from 1 to {MAX_PAGE}")
        return await self._keys.page(by.tenant, limit=limit, before=before)

    async def rotate(self, by: Principal, key_id: str, *, grace: float = 0.0) -> Issued:
        """Another secret for the same key; the old one holds for `grace` seconds, and those before it for what is left
        of theirs. Without a grace all of them end now: so a secret that has leaked is taken away.

        Raises KeyNotFound, KeyRevoked, KeyChanged, TooManySecrets, InvalidKeyRequest; ScopesExceeded and LifeExceeded:
        a secret is its key's scopes and its life.
        """
        if not 0 <= grace <= MAX_GRACE:
            raise InvalidKeyRequest(f"grace must be from 0 to {MAX_GRACE:.0f} seconds")
        key = await self._keys.get(by.tenant, _checked_id(key_id))
        _check_scopes(by, key.scopes)
        now = self._clock.now()
        if key.revoked_at is not None:
            raise KeyRevoked(key_id)
        if key.is_over(now):
            raise InvalidKeyRequest(f"the key {key_id} has expired; make another")
        ends = _ends(by)
        if ends is not None and (key.expires_at is None or key.expires_at > ends):
            raise LifeExceeded(ends)
        text = new_key(key_id)
        present, *former = key.secrets
        holding = [each for each in former if each.valid_until is not None and each.valid_until > now] if grace else []
        if len(holding) > MAX_SECRETS - 2:
            raise TooManySecrets(min(each.valid_until for each in holding if each.valid_until is not None))
        secrets = (
            SecretHash(self._peppers.digest(text), self._peppers.current, now),
            replace(present, valid_until=now + timedelta(seconds=grace)),
            *holding,
        )
        rotated = await self._keys.rotate(
            by.tenant, key_id, replaces=present.digest, secrets=secrets, at=now, by=_name(by)
        )
        await self._announce("rotated", rotated)
        return Issued(rotated, text.text)

    async def revoke(self, by: Principal, key_id: str) -> ApiKey:
        """For good; once more changes nothing, but is told once more. Raises KeyNotFound."""
        key = await self._keys.revoke(by.tenant, _checked_id(key_id), self._clock.now(), _name(by))
        await self._announce("revoked", key)
        return key

    def is_over(self, key: ApiKey) -> bool:
        return key.is_over(self._clock.now())

    def _check(self, wish: KeyWish) -> None:
        name = wish.name.strip()
        if name != wish.name or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise InvalidKeyRequest(f"name must be 1 to {MAX_NAME} printable characters, no space around them")
        if wish.subject is not None and not SUBJECT.fullmatch(wish.subject):
            raise InvalidKeyRequest("subject must be 1 to 128 letters, digits and ._:@/+-, a letter or digit first")
        if not 1 <= len(wish.scopes) <= MAX_SCOPES:
            raise InvalidKeyRequest(f"scopes must be 1 to {MAX_SCOPES}")
        unknown = sorted(wish.scopes - self._known_scopes) if self._known_scopes is not None else []
        if unknown:
            raise InvalidKeyRequest(f"there is no scope {', '.join(each[:64] for each in unknown)}")
        if wish.plan is not None and wish.plan not in self._plans:
            raise InvalidKeyRequest(f"there is no such plan; there is {', '.join(sorted(self._plans)) or 'none'}")
        if wish.lives is not None and not MIN_LIFE <= wish.lives <= MAX_LIFE:
            raise InvalidKeyRequest(f"a key lives for {MIN_LIFE:.0f} to {MAX_LIFE:.0f} seconds, or until it is revoked")


def _check_scopes(by: Principal, wanted: Collection[str]) -> None:
    exceeding = frozenset(wanted) - by.scopes
    if exceeding:
        raise ScopesExceeded(exceeding)


def _name(by: Principal) -> str:
    """A key is named by its id: what it says to speak for was chosen by who made it."""
    return by.key_id or by.subject


def _ends(by: Principal) -> datetime | None:
    """When the key that is shown stops. A token's end is no bound: it was given to somebody who gets another."""
    if by.key_id is None or by.expires_at is None:
        return None
    return datetime.fromtimestamp(by.expires_at, UTC)


def _end(by: Principal, wanted: datetime | None) -> datetime | None:
    ends = _ends(by)
    if ends is not None and wanted is not None and wanted > ends:
        raise LifeExceeded(ends)
    return wanted if wanted is not None else ends


def _checked_id(key_id: str) -> str:
    """Whatever else stands there is no key's id, and nobody need be asked."""
    if not is_key_id(key_id):
        raise KeyNotFound(key_id)
    return key_id
