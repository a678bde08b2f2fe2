"""Internal tokens: the gateway tells the services who asks, signed and for a minute.

Owns `X-Cortex-Principal`. Whoever has one can be that somebody towards our services for as long as it lives, so it goes
to them alone, and its audience is theirs. Refuses to find out who somebody is: a principal is given.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cortex_core.kernel.clock import Clock
from cortex_core.kernel.principal import Principal
from cortex_core.security.claims import claims_of, internal_principal_of
from cortex_core.security.jwt import INTERNAL_TOKEN, JwtReader, Keys, sign

if TYPE_CHECKING:
    from cortex_core.security.signatures import SigningKey

ISSUER: Final = "cortex-gateway"
AUDIENCE: Final = "cortex-internal"
LIFETIME: Final = 60.0
"""Seconds a token is good for, or less where its bearer's own credential ends before."""

_RENEWED: Final = 2 / 3  # of its life: a service gets one that is good for a while
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class InternalTokens:
    """Signs for one principal at most once in two thirds of a token's life. `capacity`: principals remembered."""

    def __init__(self, key: "SigningKey", clock: Clock, *, lifetime: float = LIFETIME, capacity: int = 4096) -> None:
        if not 1 <= lifetime <= LIFETIME:
            raise ValueError(f"an internal token lives for 1 to {LIFETIME:g} seconds")
        self._key = key
        self._clock = clock
        self._lifetime = lifetime
        self._capacity = capacity
        self._monotonic = clock.monotonic
        # By identity: the memo gives out one object a credential, and comparing two principals costs more than a look.
        # The object is kept with its token, so that its number is no other's.
        self._tokens: dict[int, tuple[Principal, bytes, float]] = {}

    def header_for(self, principal: Principal) -> bytes:
        """The value of `X-Cortex-Principal`."""
        known = self._tokens.get(id(principal))
        if known is not None and known[2] > self._monotonic():
            return known[1]
        return self._sign(principal)

    def _sign(self, principal: Principal) -> bytes:
        now = (self._clock.now() - _EPOCH).total_seconds()
        life = self._lifetime
        if principal.expires_at is not None:
            life = min(life, max(principal.expires_at - now, 1.0))
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(now), "exp": now + life, **claims_of(principal)}
        token = sign(self._key, INTERNAL_TOKEN, claims)
        if len(self._tokens) >= self._capacity:
            del self._tokens[next(iter(self._tokens))]
        self._tokens.pop(id(principal), None)
        self._tokens[id(principal)] = (principal, token, self._monotonic() + life * _RENEWED)
        return token


def internal_reader(keys: Keys, clock: Clock) -> JwtReader:
    """Verifies what `InternalTokens` has signed, with the gateway's public keys: a minute is our word, too."""
    return JwtReader(
        keys,
        issuer=ISSUER,
        audience=AUDIENCE,
        clock=clock,
        type=INTERNAL_TOKEN,
        principal=internal_principal_of,
        longest=LIFETIME + 1,  # `iat` is in whole seconds
    )
