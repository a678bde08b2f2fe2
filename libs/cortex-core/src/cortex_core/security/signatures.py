"""Keys as JWK (RFC 7517), and what is signed with them: ES256, RS256, PS256, Ed25519, each bound to its key.

Owns which key may do what: a key's own `kty`, `crv`, `alg`, `use` and `key_ops` decide, and a token's header only has
to agree with them. Refuses secrets that both sides would know, and private keys where a public one belongs. The
mathematics is `cryptography`'s; reading a JWK is joserfc's. Imported late: it is the cog's one costly import.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

_SHA256: Final = SHA256()
_ECDSA: Final = ec.ECDSA(_SHA256)
_PKCS1: Final = padding.PKCS1v15()
_PSS: Final = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=padding.PSS.DIGEST_LENGTH)  # RFC 7518, section 3.5
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MIN_RSA: Final = 2048  # bits; RFC 7518, section 3.3
_MAX_RSA: Final = 8192  # a larger one is work for us, not for its owner
_MAX_KID: Final = 128

Verify = Callable[[bytes, bytes], bool]
Some = TypeVar("Some")


class UnusableKey(ValueError):
    """A JWK that nothing of ours can be checked, or signed, with. The message says why, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key. `verifiers`: what checks a signature, for each algorithm this key may be used with. Two are the
    same where `kid` and `thumbprint` (RFC 7638) are."""

    kid: str
    thumbprint: str
    verifiers: Mapping[str, Verify] = field(repr=False, compare=False)

    @classmethod
    def of(cls, jwk: object) -> "VerifyingKey":
        """Raises UnusableKey."""
        members = _members(jwk)
        if _PRIVATE & members.keys():
            raise UnusableKey("a private or a shared key stands among the public ones")
        if "key_ops" in members and members["key_ops"] != ["verify"]:
            raise UnusableKey("its key_ops are not verify")
        key = _imported(members)
        return cls(_kid(members), key.thumbprint(), _agreed(_verifiers(key.public_key), members))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key: ES256 or Ed25519. `public` is what others verify with, as JWK."""

    kid: str
    alg: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    public: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, jwk: object) -> "SigningKey":
        """Raises UnusableKey."""
        members = _members(jwk)
        if "key_ops" in members and members["key_ops"] != ["sign"]:
            raise UnusableKey("its key_ops are not sign")
        key = _imported({name: value for name, value in members.items() if name != "key_ops"})
        match key.private_key:
            case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()) as private:
                signers = {"ES256": _es256(private)}
            case ed25519.Ed25519PrivateKey() as private:
                signers = {"Ed25519": private.sign, "EdDSA": private.sign}
            case _:
                raise UnusableKey("it is no private key of P-256 or Ed25519")
        alg, sign = next(iter(_agreed(signers, members).items()))
        shown = {name: value for name, value in members.items() if name in {"kty", "crv", "x", "y"}}
        kid = _kid(members)
        return cls(kid, alg, sign, {**shown, "kid": kid, "alg": alg, "use": "sig"})


def _members(jwk: object) -> dict[str, Any]:
    if not isinstance(jwk, dict):
        raise UnusableKey("it is no JSON object")
    return jwk


def _kid(members: Mapping[str, Any]) -> str:
    kid = members.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
        raise UnusableKey("it has no kid")
    return kid


def _imported(members: dict[str, Any]) -> ECKey | RSAKey | OKPKey:
    if members.get("use", "sig") != "sig":
        raise UnusableKey("its use is not sig")
    known = {name: value for name, value in members.items() if name not in {"use", "key_ops", "alg"}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joserfc only warns of a key that is too short: here it is refused
            key = import_key(known)
        public = key.public_key if isinstance(key, ECKey | RSAKey | OKPKey) else None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableKey("it is no key that can be read") from error
    if public is None or not isinstance(key, ECKey | RSAKey | OKPKey):
        raise UnusableKey("it is no asymmetric key")
    return key


def _agreed(by_algorithm: Mapping[str, Some], members: Mapping[str, Any]) -> Mapping[str, Some]:
    """Those algorithms that the key itself names, where it names one."""
    alg = members.get("alg")
    if alg is None:
        return by_algorithm
    if not isinstance(alg, str) or alg not in by_algorithm:
        raise UnusableKey("its alg is not one for a key of its kind")
    return {alg: by_algorithm[alg]}


def _verifiers(public: object) -> Mapping[str, Verify]:
    match public:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return {"ES256": _checks_es256(public)}
        case ed25519.Ed25519PublicKey():
            holds = _checks(public.verify)
            return {"Ed25519": holds, "EdDSA": holds}  # RFC 9864's name, and the one before
        case rsa.RSAPublicKey(key_size=size) if _MIN_RSA <= size <= _MAX_RSA:
            verify = public.verify
            return {
                "RS256": _checks(lambda signature, message: verify(signature, message, _PKCS1, _SHA256)),
                "PS256": _checks(lambda signature, message: verify(signature, message, _PSS, _SHA256)),
            }
    raise UnusableKey("it is no public key of P-256, Ed25519 or RSA of 2048 to 8192 bits")


def _checks(verify: Callable[[bytes, bytes], None]) -> Verify:
    def holds(signature: bytes, message: bytes) -> bool:
        try:
            verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return holds


def _checks_es256(public: ec.EllipticCurvePublicKey) -> Verify:
    """RFC 7518, section 3.4: two numbers of 32 bytes. DER, which most libraries speak, is no signature here."""
    verify = public.verify
    number = int.from_bytes

    def holds(signature: bytes, message: bytes) -> bool:
        if len(signature) != 64:
            return False
        try:
            verify(encode_dss_signature(number(signature[:32], "big"), number(signature[32:], "big")), message, _ECDSA)
        except InvalidSignature:
            return False
        return True

    return holds


def _es256(private: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign
