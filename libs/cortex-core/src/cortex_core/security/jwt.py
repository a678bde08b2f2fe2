"""Tokens: JWS in its compact form with claims inside, read as strictly as RFC 8725 has it.

Owns what makes a token one of ours to believe: its size is looked at before its content; the algorithm is the key's,
and the header's has to agree; the key is found by `kid` among ours, never where the token points; issuer, audience,
type and times are checked, and no JSON has two members of one name. Refuses to fetch keys (`jwks.py`) or to say what
may be done.
"""

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from cortex_core.kernel.clock import Clock
from cortex_core.kernel.principal import Principal
from cortex_core.security.credentials import MAX_SIZE
from cortex_core.security.errors import InvalidCredential

if TYPE_CHECKING:
    from cortex_core.security.signatures import SigningKey, VerifyingKey

ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 - RFC 9068's name of a type
INTERNAL_TOKEN: Final = "cortex-internal+jwt"  # noqa: S105 - ours; neither can be taken for the other

LEEWAY: Final = 10.0
"""Seconds that clocks may differ."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_REFUSED: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "epk", "cty"})
_MAX_KID: Final = 128
_LAST: Final = float(1 << 53)
_KNOWN_HEADERS: Final = 64


class UnknownKey(InvalidCredential):
    """No key has the token's `kid`. It may be so new that we have not heard of it."""

    def __init__(self) -> None:
        super().__init__("unknown-key", "the token was signed with a key that is not known here")


class Keys(Protocol):
    """Where the keys of an issuer are."""

    def find(self, kid: str) -> "VerifyingKey | None":
        """Raises AuthenticationUnavailable where nobody knows."""
        ...

    async def refresh(self) -> None:
        """Asks the issuer again, unless that was done a moment ago. May raise AuthenticationUnavailable."""
        ...


class _Header(NamedTuple):
    kid: str
    alg: str
    key: "VerifyingKey"


class JwtReader:
    """Tokens of one `issuer` for one `audience`, of one type. `leeway` in seconds, at most 30. A token that is meant
    to live for more than `longest` seconds is refused."""

    def __init__(
        self,
        keys: Keys,
        *,
        issuer: str,
        audience: str,
        clock: Clock,
        type: str = ACCESS_TOKEN,  # noqa: A002 - the claim's name
        principal: Callable[[Mapping[str, Any]], Principal],
        leeway: float = LEEWAY,
        longest: float = math.inf,
    ) -> None:
        if not 0 <= leeway <= 30:
            raise ValueError("leeway must be between 0 and 30 seconds")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._types = frozenset({type, f"application/{type}"})
        self._principal = principal
        self._leeway = leeway
        self._longest = longest
        self._headers: dict[bytes, _Header] = {}

    async def read(self, token: bytes) -> Principal:
        """Raises InvalidCredential, AuthenticationUnavailable."""
        try:
            return self.verify(token)
        except UnknownKey:
            await self._keys.refresh()
        return self.verify(token)

    def verify(self, token: bytes) -> Principal:
        """The same with the keys at hand. Raises UnknownKey, too."""
        if len(token) > MAX_SIZE:
            raise InvalidCredential("too-large", f"a token has at most {MAX_SIZE} bytes")
        signed, _, last = token.rpartition(b".")
        first, _, second = signed.partition(b".")
        header = self._header(first)
        verify = header.key.verifiers.get(header.alg)
        if verify is None:
            raise InvalidCredential("algorithm", "the token names an algorithm that is not its key's")
        if not verify(_decoded(last), signed):
            raise InvalidCredential("signature", "the signature of the token is not right")
        claims = _members(_decoded(second))
        self._check(claims)
        return self._principal(claims)

    def _header(self, segment: bytes) -> _Header:
        """Every token of an issuer's key begins alike: what was read once is looked up. A key may have gone since."""
        known = self._headers.get(segment)
        if known is not None and self._keys.find(known.kid) is known.key:
            return known
        members = _members(_decoded(segment))
        if _REFUSED & members.keys():
            raise InvalidCredential("header", "the header of the token has members that are not accepted")
        kid, alg, kind = members.get("kid"), members.get("alg"), members.get("typ")
        if not isinstance(kind, str) or kind.lower() not in self._types:
            raise InvalidCredential("type", "the token is of a type that is not accepted here")
        if not isinstance(alg, str) or not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
            raise InvalidCredential("header", "the header of the token must name alg and kid")
        key = self._keys.find(kid)
        if key is None:
            raise UnknownKey
        if len(self._headers) >= _KNOWN_HEADERS:
            self._headers.clear()
        found = self._headers[segment] = _Header(kid, alg, key)
        return found

    def _check(self, claims: Mapping[str, Any]) -> None:
        now, leeway = (self._clock.now() - _EPOCH).total_seconds(), self._leeway
        if claims.get("iss") != self._issuer:
            raise InvalidCredential("issuer", "the token is of another issuer")
        audience = claims.get("aud")
        if audience != self._audience and not _among(audience, self._audience):
            raise InvalidCredential("audience", "the token is not meant for us")
        expires, issued = _time(claims, "exp"), _time(claims, "iat")
        if now >= expires + leeway:
            raise InvalidCredential("expired", "the token has expired")
        if expires - issued > self._longest:
            raise InvalidCredential("too-long", "the token is meant to live for longer than is accepted here")
        if issued > now + leeway or issued >= expires or ("nbf" in claims and _time(claims, "nbf") > now + leeway):
            raise InvalidCredential("not-yet", "the token is not valid yet")


def sign(key: "SigningKey", type: str, claims: Mapping[str, Any]) -> bytes:  # noqa: A002 - the header's name
    """A token over `claims`, in the compact form."""
    header = {"alg": key.alg, "kid": key.kid, "typ": type}
    signed = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return signed + b"." + _encoded(key.sign(signed))


def _among(audience: object, wanted: str) -> bool:
    return isinstance(audience, list) and all(isinstance(each, str) for each in audience) and wanted in audience


def _time(claims: Mapping[str, Any], name: str) -> float:
    value: Any = claims.get(name)
    if type(value) not in {int, float} or not 0 <= value < _LAST:  # which no NaN is
        raise InvalidCredential("claims", f"the claim {name} is missing or not what it must be")
    return float(value)


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decoded(segment: bytes) -> bytes:
    """RFC 7515, section 2: no padding, nothing between, and no bits left over: one text for one content."""
    try:
        data = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))  # it skips what it does not know
    except (NotBase64, ValueError) as error:
        raise InvalidCredential("malformed", "the token is not three parts of base64url") from error
    if _encoded(data) != segment:
        raise InvalidCredential("malformed", "the token is not three parts of base64url")
    return data


def _members(data: bytes) -> dict[str, Any]:
    try:
        members = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidCredential("malformed", "a part of the token is not proper JSON") from error
    if not isinstance(members, dict):
        raise InvalidCredential("malformed", "a part of the token is no JSON object")
    return members


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
