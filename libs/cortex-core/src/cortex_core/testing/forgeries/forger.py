"""The forger: writes tokens with the issuer's own key, so that only what is changed is wrong with them."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from hmac import new as hmac
from typing import Any, Final

from cortex_core.testing.issuing import Issuer, generated_key

EVERYTHING: Final = "orders:read orders:write analytics:read files:read files:write images:write notifications:read"

Pairs = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Forgery:
    """`headers` to add to a request. `at`: `edge` or `inside` where only there it is a forgery."""

    name: str
    headers: Pairs
    at: str = "everywhere"

    @property
    def token(self) -> bytes | None:
        """What a reader of access tokens would be given."""
        (name, value), *more = self.headers or [(b"", b"")]
        whole = name == b"authorization" and value.startswith(b"Bearer ") and not more
        return value.removeprefix(b"Bearer ") if whole else None


def part(content: dict[str, Any] | bytes) -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(data).rstrip(b"=")


class Forger:
    """Writes tokens with the issuer's own key, so that only what is changed is wrong with them."""

    def __init__(self, issuer: Issuer) -> None:
        from cortex_core.security.signatures import SigningKey

        self.issuer = issuer
        self.header: dict[str, Any] = {"alg": "ES256", "kid": issuer.key.kid, "typ": "at+jwt"}
        self.claims = issuer.claims(scope=EVERYTHING)
        self.stranger_jwk = generated_key(issuer.key.kid)
        self.stranger = SigningKey.of(self.stranger_jwk)

    def signed(self, header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes) -> bytes:
        body = part(header) + b"." + part(claims)
        return body + b"." + part(self.issuer.key.sign(body))

    def with_header(self, **changes: Any) -> bytes:
        return self.signed(_changed(self.header, changes), self.claims)

    def with_claims(self, **changes: Any) -> bytes:
        return self.signed(self.header, _changed(self.claims, changes))

    def with_signature(self, signature: bytes) -> bytes:
        return part(self.header) + b"." + part(self.claims) + b"." + part(signature)

    def by_stranger(self, **changes: Any) -> bytes:
        body = part(_changed(self.header, changes)) + b"." + part(self.claims)
        return body + b"." + part(self.stranger.sign(body))

    def by_secret(self, secret: bytes, alg: str = "HS256") -> bytes:
        digest = {"HS256": sha256, "HS384": sha384, "HS512": sha512}[alg]
        body = part({**self.header, "alg": alg}) + b"." + part(self.claims)
        return body + b"." + part(hmac(secret, body, digest).digest())


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not ...}
