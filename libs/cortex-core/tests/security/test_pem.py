"""Keys as PEM: what Helm, cert-manager and OpenSSL write gives both sides, with one name for a key."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from cortex_core.kernel import Principal
from cortex_core.kernel.clock import SystemClock
from cortex_core.security import InternalTokens, internal_reader
from cortex_core.security.jwks import FixedKeys, UnusableKeySet, parse_key_set, parse_signing_key
from cortex_core.security.pem import UnusablePem, private_jwk, public_jwks

PEM = serialization.Encoding.PEM
PKCS8, SEC1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
OPEN = serialization.NoEncryption()
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
EVERY = pytest.mark.parametrize("key", [P256, ED25519], ids=["P-256", "Ed25519"])


def private(key: Any, form: serialization.PrivateFormat = PKCS8) -> bytes:
    data: bytes = key.private_bytes(PEM, form, OPEN)
    return data


def public(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return data


def certificate(key: Any, days: int = 365) -> bytes:
    """Signed by itself, as sprig's genSelfSignedCertWithKey does it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    start = datetime.now(UTC) - timedelta(days=400)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=days))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(key, algorithm).public_bytes(PEM)


@EVERY
@pytest.mark.parametrize("shown", [public, certificate])
async def test_what_one_side_signs_the_other_believes(key: Any, shown: Any) -> None:
    signing = parse_signing_key(private(key))
    keys, ignored = parse_key_set(shown(key))

    token = InternalTokens(signing, SystemClock()).header_for(Principal("kim", method="jwt"))
    reader = internal_reader(FixedKeys(keys), SystemClock())

    assert ignored == []
    assert (await reader.read(token)).subject == "kim"


def test_sec_1_is_the_same_key_as_pkcs_8() -> None:
    """`EC PRIVATE KEY`: what sprig's genPrivateKey "ecdsa" writes."""
    assert private_jwk(private(P256, SEC1)) == private_jwk(private(P256))


def test_a_key_is_named_by_its_thumbprint() -> None:
    """RFC 8037, appendix A.3."""
    x = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    known = ed25519.Ed25519PublicKey.from_public_bytes(x)
    pem = known.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    assert [each["kid"] for each in public_jwks(pem)] == ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]


def test_a_bundle_has_each_key_once_whatever_shows_it() -> None:
    bundle = certificate(P256) + b"a comment\n" + public(P256) + public(ED25519) + certificate(RSA)

    keys, ignored = parse_key_set(bundle)

    assert len(keys) == 3
    assert ignored == []
    assert {alg for key in keys.values() for alg in key.verifiers} == {"ES256", "Ed25519", "EdDSA", "RS256", "PS256"}


def test_a_certificate_is_an_envelope_whose_dates_nobody_reads() -> None:
    assert len(parse_key_set(certificate(P256, days=1))[0]) == 1


def test_what_stands_beside_the_private_key_is_passed_over() -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

    assert parse_signing_key(parameters + private(P256, SEC1) + certificate(P256)).alg == "ES256"


def test_a_private_key_among_public_ones_is_refused() -> None:
    for form in (PKCS8, SEC1):
        with pytest.raises(UnusableKeySet, match="a private key stands among the public ones"):
            parse_key_set(public(ED25519) + private(P256, form))


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (public(P256), "one private key in it, not 0"),
        (private(P256) + private(ED25519), "one private key in it, not 2"),
        (P256.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"pw")), "not encrypted"),
        (P256.private_bytes(PEM, SEC1, serialization.BestAvailableEncryption(b"pw")), "not encrypted"),
        (private(ec.generate_private_key(ec.SECP384R1())), "no private key of P-256 or Ed25519"),
        (private(RSA), "no private key of P-256 or Ed25519"),
        (b"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\ncanary", "not 0"),
    ],
)
def test_a_signing_key_that_is_none_is_refused_and_not_shown(pem: bytes, why: str) -> None:
    with pytest.raises(UnusableKeySet, match=why) as refused:
        parse_signing_key(pem)

    assert "canary" not in f"{refused.value} {refused.value.__cause__!r}"


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "it is empty"),
        (b"-----BEGIN EC PARAMETERS-----\nAA==\n-----END EC PARAMETERS-----\n", "no certificate and no public key"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate in it cannot be read"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "a public key in it cannot be read"),
        (public(ec.generate_private_key(ec.SECP384R1())), "no usable key"),
        (b"-----BEGIN CERTIFICATE-----" * 5000, "no certificate and no public key"),
    ],
)
def test_a_file_without_a_public_key_says_so(pem: bytes, why: str) -> None:
    with pytest.raises(UnusableKeySet, match=why):
        parse_key_set(pem)


def test_a_key_of_a_sort_nobody_here_knows_is_named() -> None:
    from cryptography.hazmat.primitives.asymmetric import ed448

    with pytest.raises(UnusablePem, match="P-256, Ed25519 or RSA"):
        public_jwks(public(ed448.Ed448PrivateKey.generate()))


def test_pem_and_jwk_meet_in_one_name() -> None:
    """A gateway with PEM and a service with a JWK set, where the set's kid is the thumbprint as well."""
    as_set = json.dumps({"keys": public_jwks(public(P256))}).encode()

    assert set(parse_key_set(as_set)[0]) == {parse_signing_key(private(P256)).kid}
