"""Wrong algorithms, wrong keys, wrong signatures."""

import json
from collections.abc import Iterator
from typing import Any

from cortex_core.testing.forgeries.forger import Forger, part


def algorithms(forger: Forger) -> Iterator[tuple[str, bytes]]:
    for alg in ("none", "None", "NONE", "nOnE"):
        body = part({**forger.header, "alg": alg}) + b"." + part(forger.claims)
        yield f"alg {alg}, no signature", body + b"."
        yield f"alg {alg}, a signature", body + b"." + part(b"x" * 64)
    public = dict(forger.issuer.key.public)
    yield "alg HS256 with the public key as text", forger.by_secret(json.dumps(public).encode())
    yield "alg HS256 with the public key as PEM", forger.by_secret(_pem(public))
    yield "alg HS384 with the public key as PEM", forger.by_secret(_pem(public), "HS384")
    yield "alg HS512 with the public key as PEM", forger.by_secret(_pem(public), "HS512")
    yield "alg HS256 with no secret", forger.by_secret(b"")
    for alg in ("RS256", "PS256", "EdDSA", "Ed25519", "ES384", "ES512", "ES256K", "es256", "ES256 ", "ES256\0", ""):
        yield f"alg {alg!r} over a signature by ES256", forger.with_header(alg=alg)
    for odd in (None, 256, ["ES256"], {"alg": "ES256"}, True):
        yield f"alg is {type(odd).__name__}", forger.with_header(alg=odd)
    yield "alg missing", forger.with_header(alg=...)


def keys(forger: Forger) -> Iterator[tuple[str, bytes]]:
    kid = forger.issuer.key.kid
    for name, wrong in {
        "unknown": "issuer-2",
        "in another case": kid.upper(),
        "with a space": f"{kid} ",
        "empty": "",
        "a path": "../../../../dev/null",
        "SQL": "' UNION SELECT 'x",
        "long": kid * 100,
        "of our gateway": forger.issuer.gateway_key.kid,
    }.items():
        yield f"kid {name}", forger.with_header(kid=wrong)
    for odd in (None, 1, [kid], {"kid": kid}, True):
        yield f"kid is {type(odd).__name__}", forger.with_header(kid=odd)
    yield "kid missing", forger.with_header(kid=...)
    public = {name: value for name, value in forger.stranger_jwk.items() if name != "d"}
    yield "signed by a stranger", forger.by_stranger()
    yield "a stranger's key in jwk", forger.by_stranger(jwk=public)
    yield "a stranger's key in jwk, without kid", forger.by_stranger(jwk=public, kid=...)
    yield "a stranger's address in jku", forger.by_stranger(jku="https://stranger.test/jwks.json")
    yield "a stranger's address in x5u", forger.by_stranger(x5u="https://stranger.test/cert.pem")
    yield "a stranger's certificate in x5c", forger.by_stranger(x5c=["MIIB"])


def signatures(forger: Forger) -> Iterator[tuple[str, bytes]]:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    genuine = forger.signed(forger.header, forger.claims)
    body, _, encoded = genuine.rpartition(b".")
    raw = forger.issuer.key.sign(body)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    yield "signature stripped", body + b"."
    yield "signature and its dot stripped", body
    yield "signature of ES256 as DER", body + b"." + part(der)
    yield "signature a byte short", body + b"." + part(raw[:-1])
    yield "signature a byte long", body + b"." + part(raw + b"\0")
    yield "signature twice", body + b"." + part(raw + raw)
    yield "signature with a nought between its halves", body + b"." + part(raw[:32] + b"\0" + raw[32:])
    yield "signature of two noughts", forger.with_signature(bytes(64))
    yield "signature of two ones", forger.with_signature((bytes(31) + b"\1") * 2)
    yield "signature of the order of the curve", forger.with_signature(order.to_bytes(32, "big") * 2)
    yield "signature of all ones", forger.with_signature(b"\xff" * 64)
    yield "signature with one bit changed", body + b"." + part(raw[:-1] + bytes([raw[-1] ^ 1]))
    yield "signature of other claims", forger.with_claims(sub="admin").rpartition(b".")[0] + b"." + encoded
    yield "signature of another header", forger.with_header(x="y").rpartition(b".")[0] + b"." + encoded
    yield "signature with its halves changed over", body + b"." + part(raw[32:] + raw[:32])


def _pem(jwk: dict[str, Any]) -> bytes:
    from joserfc.jwk import ECKey

    members = {name: value for name, value in jwk.items() if name in {"kty", "crv", "x", "y"}}
    return ECKey.import_key(members).as_pem(private=False)
