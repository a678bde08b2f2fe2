"""An issuer's public keys: a JWK set (RFC 7517, section 5) or PEM from a file or an address, kept fresh and rotated.

Old and new keys are valid side by side for as long as the set has both. Refreshed behind the requests once it is `ttl`
seconds old; at once, but at most every `pause`, for a key nobody has heard of; and while its source is away the last
set is good for `stale` seconds more. Refuses to know files and HTTP: a `Fetch` is given.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from cortex_core.kernel.clock import Clock
from cortex_core.security.errors import AuthenticationUnavailable
from cortex_core.security.hooks import AuthenticationHooks, KeySetDetails, Unheard
from cortex_core.security.pem import BEGIN, UnusablePem, private_jwk, public_jwks
from cortex_core.security.signatures import SigningKey, UnusableKey, VerifyingKey

MAX_BYTES: Final = 256 << 10
MAX_KEYS: Final = 64
_FIRST_PAUSE: Final = 2.0
_OUT_OF_REACH: Final = "the keys of the issuer cannot be reached; ask again"
DEVELOPMENT: Final = "dev-"
"""How a `kid` begins that was made on a developer's machine. Production does not know such keys."""

Fetch = Callable[[], Awaitable[bytes]]


class UnusableKeySet(ValueError):
    """What should be a JWK set or PEM is neither, or has no key that can be used."""


def parse_key_set(data: bytes, *, development: bool = False) -> tuple[Mapping[str, VerifyingKey], list[str]]:
    """The keys by `kid`, and of those that were left out, why: other sorts of keys may stand beside ours. Of two with
    one `kid` neither is taken. Raises UnusableKeySet where none is left."""
    if len(data) > MAX_BYTES:
        raise UnusableKeySet(f"a key set has at most {MAX_BYTES} bytes")
    if not data.strip():
        raise UnusableKeySet("it is empty")
    listed = _listed(data)
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise UnusableKeySet(f"keys must be a list of at most {MAX_KEYS}")
    found: dict[str, VerifyingKey] = {}
    twice: set[str] = set()
    ignored: list[str] = []
    for jwk in listed:
        try:
            key = VerifyingKey.of(jwk)
        except UnusableKey as error:
            ignored.append(str(error))
            continue
        if key.kid.startswith(DEVELOPMENT) and not development:
            ignored.append("it is a key of a developer's machine")
        elif key.kid in found:
            twice.add(key.kid)
        else:
            found[key.kid] = key
    for kid in twice:
        del found[kid]
        ignored.append("another has the same kid")
    if not found:
        raise UnusableKeySet("there is no usable key in it" + "".join(f"; {why}" for why in dict.fromkeys(ignored)))
    return found, ignored


def _listed(data: bytes) -> object:
    """What stands under `keys`, or the keys of PEM."""
    try:
        return public_jwks(data) if BEGIN in data else json.loads(data)["keys"]
    except UnusablePem as error:
        raise UnusableKeySet(str(error)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnusableKeySet("it is no JSON object with keys, and no PEM") from None


def parse_signing_key(data: bytes, *, development: bool = False) -> SigningKey:
    """A private JWK, or a private key as PEM. Raises UnusableKeySet."""
    try:
        key = SigningKey.of(private_jwk(data) if BEGIN in data else json.loads(data))
    except (ValueError, RecursionError) as error:
        known = isinstance(error, UnusableKey | UnusablePem)
        why = str(error) if known else "it is no JSON, and no PEM"
        raise UnusableKeySet(why) from None  # the text of a private key is in what JSON's errors show
    if key.kid.startswith(DEVELOPMENT) and not development:
        raise UnusableKeySet("it is a key of a developer's machine")
    return key


class FixedKeys:
    """Keys that do not change while the process lives."""

    def __init__(self, keys: Mapping[str, VerifyingKey]) -> None:
        self._keys = keys

    def find(self, kid: str) -> VerifyingKey | None:
        return self._keys.get(kid)

    async def refresh(self) -> None:
        """There is nobody to ask."""


class RotatingKeys:
    """See the module. Times in seconds. `on_removed` is called when a key has gone from the set: what was verified with
    it should not be remembered."""

    def __init__(
        self,
        fetch: Fetch,
        clock: Clock,
        *,
        development: bool = False,
        ttl: float = 300.0,
        pause: float = 30.0,
        stale: float = 3600.0,
        hooks: AuthenticationHooks | None = None,
        on_removed: Callable[[], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._development = development
        self._ttl, self._pause, self._stale = ttl, pause, stale
        self._hooks = hooks or Unheard()
        self._on_removed = on_removed
        self._keys: Mapping[str, VerifyingKey] | None = None
        self._fetched = self._asked = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    def find(self, kid: str) -> VerifyingKey | None:
        """None also while nobody has asked yet: `refresh` does. Raises AuthenticationUnavailable where the set is too
        old to be believed, or there is none to be had."""
        now = self._clock.monotonic()
        if self._keys is None:
            if not self._is_time(now) and self._asking is None:
                raise AuthenticationUnavailable(_OUT_OF_REACH)
            return None
        age = now - self._fetched
        if age > self._ttl:
            self._ask_once(now)
            if age > self._ttl + self._stale:
                raise AuthenticationUnavailable("the keys of the issuer are too old to be believed; ask again")
        return self._keys.get(kid)

    async def refresh(self) -> None:
        """Returns when it has been asked, also when in vain. Whoever comes while somebody asks waits for the same.
        Raises AuthenticationUnavailable where there are no keys even then."""
        asking = self._ask_once(self._clock.monotonic())
        if asking is not None:
            await asyncio.shield(asking)
        if self._keys is None:  # `find` would take a fetch that was longer than the pause for one still to come
            raise AuthenticationUnavailable(_OUT_OF_REACH)

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _ask_once(self, now: float) -> "asyncio.Task[None] | None":
        if self._asking is None and self._is_time(now):
            self._asked = now
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="jwks")
            self._asking.add_done_callback(self._asked_it)
        return self._asking

    def _is_time(self, now: float) -> bool:
        """Who has no keys at all asks more often: until then everybody is turned away."""
        return now - self._asked >= (self._pause if self._keys is not None else min(self._pause, _FIRST_PAUSE))

    def _asked_it(self, _: object) -> None:
        self._asking = None

    async def _ask(self) -> None:
        try:
            keys, ignored = parse_key_set(await self._fetch(), development=self._development)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the source: the last set stays, and it is told
            self._hooks.on_key_set(KeySetDetails(len(self._keys or ()), error=f"{type(error).__name__}: {error}"))
            return
        gone = [kid for kid, key in (self._keys or {}).items() if keys.get(kid) != key]
        self._keys = keys
        self._fetched = self._clock.monotonic()
        self._hooks.on_key_set(KeySetDetails(len(keys), tuple(ignored)))
        if gone and self._on_removed is not None:
            self._on_removed()
