"""What is no JSON that can be read in one way, and no base64url that can."""

import json
from base64 import standard_b64encode
from collections.abc import Iterator

from cortex_core.testing.forgeries.forger import Forger


def texts(forger: Forger) -> Iterator[tuple[str, bytes]]:
    header, claims = json.dumps(forger.header), json.dumps(forger.claims)
    for name, wrong in {
        "sub twice": claims[:-1] + ', "sub": "admin"}',
        "exp twice": claims[:-1] + ', "exp": 99999999999}',
        "scope twice": claims[:-1] + ', "scope": "keys:admin"}',
        "a member twice, deeper": claims[:-1] + ', "x": {"a": 1, "a": 2}}',
        "garbage behind": claims + " {}",
        "a comment": claims[:-1] + " /* */}",
        "a comma too many": claims[:-1] + ",}",
        "single quotes": claims.replace('"', "'"),
        "a list": f"[{claims}]",
        "a text": json.dumps(claims),
        "a number": "1",
        "null": "null",
        "empty": "",
        "nested without end": claims[:-1] + ', "x": ' + "[" * 2200 + "]" * 2200 + "}",
        "with what is no number": claims[:-1] + ', "x": NaN}',
    }.items():
        yield f"claims {name}", forger.signed(forger.header, wrong.encode())
    for name, data in {
        "of invalid UTF-8": claims.encode()[:-1] + b', "x": "\xff"}',
        "in UTF-16": claims.encode("utf-16"),
        "in UTF-32": claims.encode("utf-32"),
        "behind a byte order mark": b"\xef\xbb\xbf" + claims.encode(),
        "with a NUL": claims.encode() + b"\0",
    }.items():
        yield f"claims {name}", forger.signed(forger.header, data)
    for name, wrong in {
        "alg twice": header[:-1] + ', "alg": "ES256"}',
        "kid twice": header[:-1] + f', "kid": "{forger.issuer.key.kid}"}}',
        "a list": f"[{header}]",
        "no JSON": "ES256",
        "empty": "{}",
    }.items():
        yield f"header {name}", forger.signed(wrong.encode(), forger.claims)


def encodings(forger: Forger) -> Iterator[tuple[str, bytes]]:
    genuine = forger.signed(forger.header, forger.claims)
    header, claims, signature = genuine.split(b".")
    yield "an empty token", b""
    yield "dots alone", b".."
    yield "three letters", b"a.b.c"
    yield "a part in front", b"." + genuine
    yield "four parts", genuine + b"." + signature
    yield "five parts, as an encrypted one", b".".join([header, b"", claims, claims, signature])
    yield "padding behind", genuine + b"=" * (-len(signature) % 4 or 4)
    yield "padding within", header + b"=" * (-len(header) % 4 or 4) + b"." + claims + b"." + signature
    yield "a space within", genuine[:40] + b" " + genuine[40:]
    yield "a star within", genuine[:40] + b"*" + genuine[40:]
    yield "a byte above ASCII within", genuine[:40] + b"\xe9" + genuine[40:]
    yield "the other alphabet", header + b"." + claims + b"." + _other_alphabet(forger, header + b"." + claims)
    yield "bits left over", genuine[:-1] + _next_letter(genuine[-1])
    yield "too large", forger.with_claims(x="x" * 9000)
    yield "garbage behind", genuine + b"AAAA"


def _other_alphabet(forger: Forger, body: bytes) -> bytes:
    """A signature that the two alphabets of base 64 write differently. ECDSA's are never twice the same."""
    while True:
        encoded = standard_b64encode(forger.issuer.key.sign(body)).rstrip(b"=")
        if b"+" in encoded or b"/" in encoded:
            return encoded


def _next_letter(letter: int) -> bytes:
    """Of 64 bytes the last letter says two bits and has four to spare: its neighbour says the same to a lax reader."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) + 1 :][:1]
