"""Reading a token: ours, seen before and cold, and PyJWT, which has no memory. One token for both, of one issuer.

Ours checks more (type, duplicate members, one text for one content, claims by pattern) and ends in a principal; PyJWT
is asked for what it can check and ends in a dict. Seen before, ours begins at a request's headers, as browsers send
them.
"""

import json
import time
from typing import Any, Final

from benchmarks.programs.calls import BARE, main
from cortex_core.kernel.clock import SystemClock
from cortex_core.security import Authenticator, Memo
from cortex_core.security.claims import principal_of
from cortex_core.security.credentials import Credential, Kind
from cortex_core.security.jwks import FixedKeys
from cortex_core.security.jwt import JwtReader
from cortex_core.security.signatures import VerifyingKey

ALGORITHMS: Final = ("ES256", "RS256")
_ISSUER: Final = "https://issuer.test"
_AUDIENCE: Final = "cortex-hub"
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub"]
_HEADERS: Final = [
    (b"host", b"hub.test"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"connection", b"keep-alive"),
    (b"sec-fetch-mode", b"cors"),
]


def calls() -> dict[str, Any]:
    found: dict[str, Any] = {BARE: (_nothing, ())}
    for alg in ALGORITHMS:
        private, jwk, token = _issued(alg)
        reader = JwtReader(
            FixedKeys({"k1": VerifyingKey.of(jwk)}),
            issuer=_ISSUER,
            audience=_AUDIENCE,
            clock=SystemClock(),
            principal=principal_of,
        )
        memo = Memo(SystemClock())
        memo.keep(Credential(Kind.JWT, token), reader.verify(token), memo.generation)
        headers = [*_HEADERS, (b"authorization", b"Bearer " + token)]
        authenticator = Authenticator(memo, jwt=reader)
        if authenticator.recall(headers) is None:
            raise SystemExit("bench: the memo does not know the token")
        found[f"ours, {alg}, seen before"] = (authenticator.recall, (headers,))
        found[f"ours, {alg}, cold"] = (reader.verify, (token,))
        found[f"PyJWT, {alg}"] = (_pyjwt(alg, private.public_key()), (token,))
    return found


def _nothing() -> None:
    """The bare call."""


def _issued(alg: str) -> tuple[Any, dict[str, Any], bytes]:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    private: Any
    if alg == "RS256":
        private = rsa.generate_private_key(65537, 2048)
        jwk = RSAAlgorithm.to_jwk(private.public_key())
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk = ECAlgorithm.to_jwk(private.public_key())
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "sub": "usr_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f",
        "iat": now,
        "exp": now + 3600,
        "jti": "0192f5c0-a1b2-7c3d-8e4f-5a6b7c8d9e0f",
        "scope": "orders:read orders:write files:read",
        "roles": ["viewer"],
    }
    token = jwt.encode(claims, private, algorithm=alg, headers={"kid": "k1", "typ": "at+jwt"})
    members = json.loads(jwk) if isinstance(jwk, str) else dict(jwk)
    members.pop("key_ops", None)
    return private, {**members, "kid": "k1"}, token.encode()


def _pyjwt(alg: str, public: Any) -> Any:
    import jwt

    options: Any = {"require": _REQUIRED}

    def decode(token: bytes) -> dict[str, Any]:
        return jwt.decode(token, public, algorithms=[alg], audience=_AUDIENCE, issuer=_ISSUER, options=options)

    return decode


if __name__ == "__main__":
    main({}, calls())
