"""Where a request may carry a credential, read strictly. Nothing is verified here.

A public credential (a JWT, an API key `ck_…`, or a static token `st_…`) comes as `Authorization: Bearer …`, an API key
also as `X-API-Key`, and each from a page that opens a WebSocket as the subprotocol `cortex.bearer.<credential>`.
Between our own services the internal token comes as `X-Cortex-Principal`.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from cortex_core.security.errors import AmbiguousCredentials, InvalidCredential

AUTHORIZATION: Final = b"authorization"
API_KEY: Final = b"x-api-key"
SUBPROTOCOLS: Final = b"sec-websocket-protocol"
INTERNAL: Final = b"x-cortex-principal"

PUBLIC_CARRIERS: Final = frozenset({AUTHORIZATION, API_KEY, SUBPROTOCOLS})
CARRIERS: Final = PUBLIC_CARRIERS | {INTERNAL}

MAX_SIZE: Final = 8192
"""Bytes of a credential. What is longer is not even looked at."""

KEY_PREFIX: Final = b"ck_"
STATIC_PREFIX: Final = b"st_"
SUBPROTOCOL_PREFIX: Final = b"cortex.bearer."

_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")  # RFC 6750, section 2.1
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


class Kind(Enum):
    JWT = "jwt"
    KEY = "api-key"
    STATIC = "static-token"
    TOKEN = "internal"  # noqa: S105 - a word for ours, between services


class Credential(NamedTuple):
    kind: Kind
    value: bytes


def find_credential(headers: Iterable[tuple[bytes, bytes]], carriers: frozenset[bytes] = CARRIERS) -> Credential | None:
    """The one credential of a request, None where there is none.

    Raises AmbiguousCredentials where there are two that differ, InvalidCredential where something stands in a
    credential's place that is none: whoever meant to show something is not served as somebody else.
    """
    found: set[Credential] = set()
    for name, value in headers:
        if name in carriers:
            found.update(_READERS[name](value))
    if len(found) > 1:
        raise AmbiguousCredentials
    return found.pop() if found else None


def _authorization(value: bytes) -> list[Credential]:
    _refuse_huge(value)
    match = _BEARER.fullmatch(value)
    if match is None:
        raise InvalidCredential("malformed", "Authorization must be Bearer and a token or an API key")
    return [_public(match[1])]


def _api_key(value: bytes) -> list[Credential]:
    _refuse_huge(value)
    if not value.startswith(KEY_PREFIX) or not _TOKEN.fullmatch(value):
        raise InvalidCredential("malformed", "X-API-Key must be an API key")
    return [Credential(Kind.KEY, value)]


def _subprotocols(value: bytes) -> list[Credential]:
    offered = [part.strip(b" \t") for part in value.split(b",")]
    shown = [part.removeprefix(SUBPROTOCOL_PREFIX) for part in offered if part.startswith(SUBPROTOCOL_PREFIX)]
    for credential in shown:
        _refuse_huge(credential)
        if not _TOKEN.fullmatch(credential):
            raise InvalidCredential("malformed", "the subprotocol cortex.bearer. must name a token or an API key")
    return [_public(credential) for credential in shown]


def _internal(value: bytes) -> list[Credential]:
    _refuse_huge(value)
    return [Credential(Kind.TOKEN, value)]


def _public(credential: bytes) -> Credential:
    if credential.startswith(KEY_PREFIX):
        return Credential(Kind.KEY, credential)
    return Credential(Kind.STATIC if credential.startswith(STATIC_PREFIX) else Kind.JWT, credential)


def _refuse_huge(value: bytes) -> None:
    if len(value) > MAX_SIZE:
        raise InvalidCredential("too-large", f"a credential has at most {MAX_SIZE} bytes")


_READERS: Final = {
    AUTHORIZATION: _authorization,
    API_KEY: _api_key,
    SUBPROTOCOLS: _subprotocols,
    INTERNAL: _internal,
}
