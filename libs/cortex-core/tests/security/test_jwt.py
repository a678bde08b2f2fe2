"""Tokens: genuine ones are read, the corpus of forgeries is not, and what is at a limit falls on the right side."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import RSAKey, import_key

from cortex_core.kernel import Principal
from cortex_core.security import InvalidCredential
from cortex_core.security.claims import principal_of
from cortex_core.security.jwks import FixedKeys
from cortex_core.security.jwt import ACCESS_TOKEN, JwtReader, sign
from cortex_core.security.signatures import SigningKey, UnusableKey, VerifyingKey
from cortex_core.testing import FakeClock
from cortex_core.testing.forgeries import Forger, forgeries, part
from cortex_core.testing.issuing import AUDIENCE, ISSUER, Issuer, generated_key

CLOCK = FakeClock()


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(Path(tmp_path_factory.mktemp("keys")), CLOCK)


def reader(*keys: VerifyingKey, clock: FakeClock = CLOCK) -> JwtReader:
    by_kid = {key.kid: key for key in keys}
    return JwtReader(FixedKeys(by_kid), issuer=ISSUER, audience=AUDIENCE, clock=clock, principal=principal_of)


@pytest.fixture
def read(issuer: Issuer) -> JwtReader:
    return reader(VerifyingKey.of(dict(issuer.key.public)))


async def test_a_genuine_token_names_its_bearer(issuer: Issuer, read: JwtReader) -> None:
    token = issuer.token(
        sub="kim", tenant="public", scope="keys:admin", roles=["viewer", "gardener"], email="kim@x.test", nbf=0
    )

    principal = await read.read(token.encode())

    scopes = frozenset({"orders:read", "analytics:read", "files:read", "notifications:read", "keys:admin"})
    expires = issuer.claims()["exp"]
    assert principal == Principal(
        "kim", "public", scopes, frozenset({"viewer", "gardener"}), "jwt", None, None, None, expires
    )
    assert principal.email == "kim@x.test"
    assert "kim@x.test" not in repr(principal)


async def test_every_forgery_is_refused(issuer: Issuer, read: JwtReader) -> None:
    """One loop, because the corpus needs keys: what was accepted is listed by name."""
    accepted, tried = [], 0
    for forgery in forgeries(issuer):
        if forgery.token is None or forgery.name == "tenant not served":  # the authenticator's to say
            continue
        tried += 1
        try:
            await read.read(forgery.token)
            accepted.append(forgery.name)
        except InvalidCredential as refusal:
            assert refusal.response_headers["WWW-Authenticate"].count('"') % 2 == 0
            assert forgery.token.decode("latin-1") not in refusal.message or not forgery.token

    assert accepted == []
    assert tried >= 150


def test_names_of_forgeries_are_unique(issuer: Issuer) -> None:
    names = [forgery.name for forgery in forgeries(issuer)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("changes", "fine"),
    [
        ({"exp": -9}, True),
        ({"exp": -10}, False),
        ({"nbf": 10}, True),
        ({"nbf": 11}, False),
        ({"iat": 10, "exp": 20}, True),
        ({"iat": 11, "exp": 20}, False),
    ],
    ids=str,
)
async def test_clocks_may_differ_by_ten_seconds(
    issuer: Issuer, read: JwtReader, changes: dict[str, int], fine: bool
) -> None:
    now = int(CLOCK.now().timestamp())
    claims = {"iat": now - 60, **{name: now + offset for name, offset in changes.items()}}
    token = issuer.token(**claims).encode()

    if fine:
        assert (await read.read(token)).subject == "kim"
    else:
        with pytest.raises(InvalidCredential):
            await read.read(token)


@pytest.mark.parametrize(
    ("kind", "algorithms"), [("P-256", ["ES256"]), ("Ed25519", ["Ed25519"]), ("RSA", ["RS256", "PS256"])]
)
async def test_each_sort_of_key_is_read_by_its_own_algorithms(issuer: Issuer, kind: str, algorithms: list[str]) -> None:
    private = generated_key("k1", kind)
    public = {name: value for name, value in private.items() if name in {"kty", "crv", "x", "y", "n", "e", "kid"}}
    read = reader(VerifyingKey.of(public))
    forger = Forger(issuer)
    for alg in ("ES256", "Ed25519", "RS256", "PS256", "RS512", "PS384", "HS256"):
        if alg in algorithms:
            header, claims = {"alg": alg, "kid": "k1", "typ": "at+jwt"}, json.dumps(forger.claims)
            registry = jws.JWSRegistry(algorithms=[alg])
            token = jws.serialize_compact(header, claims, import_key(private), registry=registry).encode()
            assert (await read.read(token)).subject == "kim"
        else:
            body = part({"alg": alg, "kid": "k1", "typ": "at+jwt"}) + b"." + part(forger.claims)
            with pytest.raises(InvalidCredential):
                await read.read(body + b"." + part(b"x" * 64))


async def test_a_key_that_names_its_algorithm_is_for_no_other() -> None:
    private = generated_key("k1", "RSA")
    public = {name: private[name] for name in ("kty", "n", "e", "kid")} | {"alg": "PS256"}
    read = reader(VerifyingKey.of(public))
    registry = jws.JWSRegistry(algorithms=["RS256"])
    header = {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
    token = jws.serialize_compact(header, b"{}", import_key(private), registry=registry).encode()

    with pytest.raises(InvalidCredential) as refused:
        await read.read(token)

    assert refused.value.reason == "algorithm"


async def test_what_is_signed_here_is_read_elsewhere(issuer: Issuer) -> None:
    """joserfc, which has its own idea of the formats, agrees with ours."""
    for kind in ("P-256", "Ed25519"):
        key = SigningKey.of(generated_key("k1", kind))
        token = sign(key, ACCESS_TOKEN, {"sub": "kim"})

        decoded = jwt.decode(token.decode(), import_key(dict(key.public)), algorithms=[key.alg])

        assert decoded.claims == {"sub": "kim"}
        assert decoded.header == {"alg": key.alg, "kid": "k1", "typ": "at+jwt"}


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": 1},
        {"kid": None},
        {"kid": ""},
        {"kid": "x" * 129},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"x": "AAAA"},
        {"d": "AAAA"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": None},
    ],
    ids=str,
)
def test_a_key_that_says_anything_else_is_not_used(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(UnusableKey):
        VerifyingKey.of({**issuer.key.public, **changes})


def test_a_short_rsa_key_is_not_used() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc's, that it is short
        weak = RSAKey.generate_key(1024, private=False)

    with pytest.raises(ValueError, match="2048"):
        VerifyingKey.of({**weak.as_dict(private=False), "kid": "k1"})


@pytest.mark.parametrize("kid", ["", "x" * 129])
async def test_a_kid_that_no_key_can_have_asks_no_issuer(issuer: Issuer, read: JwtReader, kid: str) -> None:
    with pytest.raises(InvalidCredential) as refused:
        await read.read(Forger(issuer).with_header(kid=kid))

    assert refused.value.reason == "header"


def test_leeway_is_bounded() -> None:
    with pytest.raises(ValueError, match="30"):
        JwtReader(FixedKeys({}), issuer="i", audience="a", clock=CLOCK, principal=principal_of, leeway=31)


async def test_a_header_that_was_read_once_does_not_outlive_its_key(issuer: Issuer) -> None:
    keys = {issuer.key.kid: VerifyingKey.of(dict(issuer.key.public))}
    read = JwtReader(FixedKeys(keys), issuer=ISSUER, audience=AUDIENCE, clock=CLOCK, principal=principal_of)
    token = issuer.token().encode()
    await read.read(token)

    del keys[issuer.key.kid]

    with pytest.raises(InvalidCredential) as refused:
        await read.read(token)
    assert refused.value.reason == "unknown-key"
