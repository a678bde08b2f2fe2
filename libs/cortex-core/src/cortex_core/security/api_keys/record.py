"""The record of a key: everything but the key."""

from dataclasses import dataclass, field
from datetime import datetime

from cortex_core.security.api_keys.peppers import Peppers
from cortex_core.security.api_keys.text import KeyText


@dataclass(frozen=True, slots=True)
class SecretHash:
    """One secret's keyed hash, which `pepper` made. A secret that was replaced holds until `valid_until`."""

    digest: bytes = field(repr=False)
    pepper: str
    made_at: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`secrets`: the present one, then the one before it, where there was one, then those older ones that had some of
    their grace left when that was replaced. `last_used_at` lags by up to a minute. Who is `revoked_at` stays so.
    `created_by`, `revoked_by` and `rotated_by` are subjects, or the id of the key that was shown."""

    id: str
    tenant: str
    name: str
    subject: str
    scopes: frozenset[str]
    created_at: datetime
    created_by: str
    secrets: tuple[SecretHash, ...]
    plan: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_at: datetime | None = None
    rotated_by: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether no secret can open anything with it any more."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)

    def holds(self, key: KeyText, peppers: Peppers, now: datetime) -> SecretHash | None:
        """The secret that `key` is, where it holds at `now`. Every hash is compared, in constant time each."""
        fitting = [each for each in self.secrets if peppers.fits(key, each.digest, each.pepper)]
        return next((each for each in fitting if self._is_good(each, now)), None)

    def _is_good(self, secret: SecretHash, now: datetime) -> bool:
        """One replaced without a grace is over by the record alone: here, too, where the clock is behind."""
        if secret.valid_until is None:
            return True
        replaced_at = self.rotated_at or secret.made_at
        return replaced_at < secret.valid_until and now < secret.valid_until

    def holds_until(self, secret: SecretHash) -> datetime | None:
        """When `secret` stops by itself: at the end of its grace or of the key. None: never."""
        ends = [moment for moment in (self.expires_at, secret.valid_until) if moment is not None]
        return min(ends, default=None)
