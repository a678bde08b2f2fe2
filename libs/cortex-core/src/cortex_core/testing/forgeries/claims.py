"""Proper tokens that say something wrong: in the header, in the claims, of their time."""

import json
from collections.abc import Iterator

from cortex_core.testing.forgeries.forger import EVERYTHING, Forger
from cortex_core.testing.issuing import AUDIENCE


def headers(forger: Forger) -> Iterator[tuple[str, bytes]]:
    yield "crit that names exp", forger.with_header(crit=["exp"], exp=1)
    yield "crit that is empty", forger.with_header(crit=[])
    yield "crit that names b64", forger.with_header(crit=["b64"], b64=False)
    yield "b64 false", forger.with_header(b64=False)
    yield "zip", forger.with_header(zip="DEF")
    yield "enc", forger.with_header(enc="A128GCM")
    yield "epk", forger.with_header(epk={})
    yield "cty of a nested token", forger.with_header(cty="JWT")
    for name, wrong in {"JWT": "JWT", "internal": "cortex-internal+jwt", "of an ID token": "id+jwt"}.items():
        yield f"typ {name}", forger.with_header(typ=wrong)
    yield "typ with a space", forger.with_header(typ="at+jwt ")
    yield "typ null", forger.with_header(typ=None)
    yield "typ a list", forger.with_header(typ=["at+jwt"])
    yield "typ missing", forger.with_header(typ=...)


def claims(forger: Forger) -> Iterator[tuple[str, bytes]]:
    for name in ("iss", "aud", "exp", "iat", "sub"):
        yield f"{name} missing", forger.with_claims(**{name: ...})
        yield f"{name} null", forger.with_claims(**{name: None})
        yield f"{name} an object", forger.with_claims(**{name: {}})
    issuer = forger.claims["iss"]
    yield "iss of somebody else", forger.with_claims(iss="https://stranger.test")
    yield "iss with a slash more", forger.with_claims(iss=f"{issuer}/")
    yield "iss a list with ours", forger.with_claims(iss=[issuer])
    yield "aud of somebody else", forger.with_claims(aud="somebody-else")
    yield "aud of our services", forger.with_claims(aud="cortex-internal")
    yield "aud that begins like ours", forger.with_claims(aud=f"{AUDIENCE}.stranger.test")
    yield "aud an empty list", forger.with_claims(aud=[])
    yield "aud a list of others", forger.with_claims(aud=["one", "another"])
    yield "aud a list of ours and a number", forger.with_claims(aud=[AUDIENCE, 1])
    yield "aud an object with ours", forger.with_claims(aud={AUDIENCE: True})
    for name, sub in {
        "empty": "",
        "a number": 1,
        "too long": "x" * 256,
        "with a line's end": "kim\r\nX-Evil: 1",
    }.items():
        yield f"sub {name}", forger.with_claims(sub=sub)
    yield "sub of half a surrogate pair", forger.with_claims(sub="\ud800")
    yield "tenant not served", forger.with_claims(tenant="acme")
    yield "tenant a path", forger.with_claims(tenant="../public")
    yield "tenant a number", forger.with_claims(tenant=1)
    yield "scope a list", forger.with_claims(scope=EVERYTHING.split())
    yield "scope an object", forger.with_claims(scope={})
    yield "scope with two spaces", forger.with_claims(scope=EVERYTHING.replace(" ", "  "))
    yield "roles a text", forger.with_claims(roles="admin")
    yield "roles of objects", forger.with_claims(roles=[{"admin": True}])
    yield "roles too many", forger.with_claims(roles=["viewer"] * 33)


def times(forger: Forger) -> Iterator[tuple[str, bytes]]:
    now = int(forger.claims["iat"])
    yield "expired a minute ago", forger.with_claims(iat=now - 660, exp=now - 60)
    yield "expired in 1970", forger.with_claims(iat=0, exp=1)
    yield "nbf in an hour", forger.with_claims(nbf=now + 3600)
    yield "iat in an hour", forger.with_claims(iat=now + 3600, exp=now + 7200)
    yield "iat after exp", forger.with_claims(iat=now, exp=now - 1)
    yield "nbf a text", forger.with_claims(nbf=str(now))
    yield "nbf null", forger.with_claims(nbf=None)
    for name in ("exp", "iat"):
        for wrong in (str(now), True, [now], -1, 1e308, 1 << 60):
            yield f"{name} {type(wrong).__name__} {str(wrong)[:8]}", forger.with_claims(**{name: wrong})
    text = json.dumps(forger.claims)
    for name, number in {
        "infinite": "Infinity",
        "no number": "NaN",
        "overflowing": "1e999",
        "of 5000 digits": "9" * 5000,
        "hexadecimal": "0x7fffffff",
    }.items():
        wrong_text = text.replace(f'"exp": {forger.claims["exp"]}', f'"exp": {number}')
        yield f"exp {name}", forger.signed(forger.header, wrong_text.encode())
