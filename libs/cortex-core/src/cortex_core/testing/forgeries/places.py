"""Tokens in the wrong place: ours at the edge, others' inside, and credentials where none is looked for."""

import json
from base64 import standard_b64encode
from collections.abc import Iterator

from cortex_core.kernel import Principal
from cortex_core.testing.forgeries.forger import EVERYTHING, Forger, Forgery
from cortex_core.testing.issuing import AUDIENCE


def internal(forger: Forger) -> Iterator[Forgery]:
    from cortex_core.security.internal import AUDIENCE as INSIDE
    from cortex_core.security.internal import ISSUER as GATEWAY
    from cortex_core.security.jwt import sign

    issuer = forger.issuer
    now = int(forger.claims["iat"])
    inside = {"iss": GATEWAY, "aud": INSIDE, "iat": now, "exp": now + 60, "sub": "kim", "method": "jwt"}
    inside |= {"tenant": "public", "scope": EVERYTHING}
    kind = "cortex-internal+jwt"
    genuine = issuer.internal(Principal("kim", scopes=frozenset(EVERYTHING.split()), method="jwt")).encode()
    yield Forgery("an internal token as a bearer's", [(b"authorization", b"Bearer " + genuine)])
    yield Forgery("an internal token at the edge", [(b"x-cortex-principal", genuine)], at="edge")
    yield Forgery("an access token as an internal one", [(b"x-cortex-principal", issuer.token().encode())])
    for name, token in {
        "by the issuer's key": sign(issuer.key, kind, inside),
        "of type at+jwt": sign(issuer.gateway_key, "at+jwt", inside),
        "for the issuer's audience": sign(issuer.gateway_key, kind, {**inside, "aud": AUDIENCE}),
        "of the issuer": sign(issuer.gateway_key, kind, {**inside, "iss": forger.claims["iss"]}),
        "that has expired": sign(issuer.gateway_key, kind, {**inside, "iat": now - 120, "exp": now - 60}),
        "without a method": sign(issuer.gateway_key, kind, {**inside, "method": None}),
        "of an unknown method": sign(issuer.gateway_key, kind, {**inside, "method": "root"}),
        "of nobody": sign(issuer.gateway_key, kind, {**inside, "method": "anonymous"}),
        "that is a name": b"kim",
        "that is JSON": json.dumps({"sub": "kim", "scope": EVERYTHING}).encode(),
        "that is JSON in base64": standard_b64encode(json.dumps(inside).encode()),
        "behind Bearer": b"Bearer " + genuine,
        "that is empty": b"",
    }.items():
        yield Forgery(f"an internal token {name}", [(b"x-cortex-principal", token)])


def elsewhere(forger: Forger) -> Iterator[Forgery]:
    genuine = forger.signed(forger.header, forger.claims)
    other = forger.with_claims(sub="somebody-else")
    yield Forgery("nothing at all", [])
    yield Forgery("Basic", [(b"authorization", b"Basic " + standard_b64encode(b"kim:secret"))])
    yield Forgery("Bearer and nothing", [(b"authorization", b"Bearer")])
    yield Forgery("a token without Bearer", [(b"authorization", genuine)])
    yield Forgery("a token behind Token", [(b"authorization", b"Token " + genuine)])
    yield Forgery("two tokens in one header", [(b"authorization", b"Bearer " + genuine + b", Bearer " + other)])
    yield Forgery("two headers that differ", [(b"authorization", b"Bearer " + each) for each in (genuine, other)])
    yield Forgery("a token and another's key", [(b"authorization", b"Bearer " + genuine), (b"x-api-key", b"ck_abc")])
    yield Forgery("a token as an API key", [(b"x-api-key", genuine)])
    yield Forgery("an API key nobody has", [(b"x-api-key", b"ck_0123456789abcdef")])
    yield Forgery("an API key nobody has, as a bearer's", [(b"authorization", b"Bearer ck_0123456789abcdef")])
    yield Forgery("an empty API key", [(b"x-api-key", b"")])
    yield Forgery("a cookie", [(b"cookie", b"access_token=" + genuine)])
    yield Forgery("what a proxy might say", [(b"x-forwarded-user", b"kim"), (b"x-remote-user", b"kim")])
    yield Forgery("a tenant and no credential", [(b"x-cortex-tenant", b"public")])
