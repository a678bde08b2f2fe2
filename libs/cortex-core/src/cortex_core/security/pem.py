"""Keys as PEM (RFC 7468), as Helm, cert-manager and OpenSSL write them, turned into the JWK that all else here reads.

Owns which blocks count: certificates (RFC 5280) and public keys on one side, one private key (PKCS #8, or SEC 1 of
P-256) on the other. A key's `kid` is its thumbprint (RFC 7638), so both sides have the same without being told. A
certificate is an envelope for its key: nobody looks at its names and dates, for the file is ours to trust, not its
issuer. Refuses a private key among public ones, and what is encrypted. Imported late, with `jwks`.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

BEGIN: Final = b"-----BEGIN "
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----(?:(?!-----).)*-----END \1-----", re.DOTALL)
_CERTIFICATES: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_PUBLIC: Final = frozenset({b"PUBLIC KEY", b"RSA PUBLIC KEY"})
_PRIVATE: Final = b"PRIVATE KEY"
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, JoseError)


class UnusablePem(ValueError):
    """PEM that is no key of ours. The message says why, and shows nothing of it."""


def public_jwks(data: bytes) -> list[dict[str, Any]]:
    """Each public key once, those of certificates too. Raises UnusablePem for one that cannot be read, a private key,
    and where there is none."""
    found: dict[str, dict[str, Any]] = {}
    for label, block in _blocks(data):
        if label.endswith(_PRIVATE):
            raise UnusablePem("a private key stands among the public ones")
        if label in _CERTIFICATES | _PUBLIC:
            jwk = _with_thumbprint(_public(label, block), private=False)
            found[jwk["kid"]] = jwk
    if not found:
        raise UnusablePem("there is no certificate and no public key in it")
    return list(found.values())


def private_jwk(data: bytes) -> dict[str, Any]:
    """The one private key; what else stands beside it (a certificate, EC parameters) is passed over. Raises
    UnusablePem."""
    blocks = [block for label, block in _blocks(data) if label.endswith(_PRIVATE)]
    if len(blocks) != 1:
        raise UnusablePem(f"there must be one private key in it, not {len(blocks)}")
    try:
        key = serialization.load_pem_private_key(blocks[0], password=None)
    except _UNREADABLE:  # which may show some of it
        raise UnusablePem("its private key cannot be read: it must be PKCS #8 or SEC 1, and not encrypted") from None
    return _with_thumbprint(key, private=True)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for match in _BLOCK.finditer(data):
        yield match[1], match[0]


def _public(label: bytes, block: bytes) -> object:
    try:
        if label in _CERTIFICATES:
            return x509.load_pem_x509_certificate(block).public_key()
        return serialization.load_pem_public_key(block)
    except _UNREADABLE:
        sort = "certificate" if label in _CERTIFICATES else "public key"
        raise UnusablePem(f"a {sort} in it cannot be read") from None


def _with_thumbprint(key: object, *, private: bool) -> dict[str, Any]:
    match key:
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            kind: type[ECKey | OKPKey | RSAKey] = ECKey
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            kind = OKPKey
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            kind = RSAKey
        case _:
            raise UnusablePem("it has a key that is not of P-256, Ed25519 or RSA")
    try:
        read = kind.import_key(_pem_of(key, private=private))
        return {**read.as_dict(private=private), "kid": read.thumbprint()}
    except _UNREADABLE:
        raise UnusablePem("it has a key that is not of P-256, Ed25519 or RSA") from None


def _pem_of(key: Any, *, private: bool) -> bytes:
    pem = serialization.Encoding.PEM
    if private:
        encoded: bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    else:
        encoded = key.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded
