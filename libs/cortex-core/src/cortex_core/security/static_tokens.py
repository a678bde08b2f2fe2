"""Static tokens: a few credentials known from a file, for a cluster's own programs, with no issuer and no store.

    [{"token": "st_<32 or more of A-Z a-z 0-9>", "sub": "helm", "scopes": ["orders:read"], "roles": ["viewer"],
      "tenant": "public", "plan": "pro"}]

The term is Kubernetes' static token file. Owns the form of that file: `token` and `sub` have to be there, what is not
in the list above is a mistake, and so is a scope or a role that there is not. In place of `token` an entry may have
`tokenFile`, where its text lies: then who has it and what it may is no secret. A token is good for as long as the
process lives that read it: to replace one, put the new one beside it and restart. Refuses to keep tokens: it holds
digests under a secret of the process, so that neither a dump of its memory nor the time of a look-up tells one.
"""

import json
import os
import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from cortex_core.kernel.principal import Principal
from cortex_core.security.claims import static_principal_of
from cortex_core.security.errors import InvalidCredential
from cortex_core.security.scopes import ROLES, SCOPES

MAX_BYTES: Final = 64 << 10
MAX_TOKENS: Final = 64
MAX_TOKEN_FILE_BYTES: Final = 1 << 10
DEVELOPMENT: Final = "st_dev"
"""How a token begins that was made for development: production refuses it."""

_TOKEN: Final = re.compile(r"st_[A-Za-z0-9]{32,250}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z:_-]{1,30}", re.ASCII)
_MEMBERS: Final = frozenset({"token", "tokenFile", "sub", "scopes", "roles", "tenant", "plan"})


class UnusableTokens(ValueError):
    """A file that cannot be used. The message says why, and shows no token."""


class StaticTokens:
    """Implements `authenticator.TokenReader`."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self._secret = os.urandom(32)
        self._principals = {self._digest(token.encode()): who for token, who in principals.items()}

    @property
    def principals(self) -> list[Principal]:
        """Who is known."""
        return list(self._principals.values())

    async def read(self, token: bytes) -> Principal:
        """Raises InvalidCredential."""
        known = self._principals.get(self._digest(token))
        if known is None:
            raise InvalidCredential("unknown", "the static token is not known here")
        return known

    def _digest(self, token: bytes) -> bytes:
        return blake2b(token, digest_size=32, key=self._secret).digest()


def parse_static_tokens(data: bytes, *, folder: Path | None = None, development: bool = False) -> StaticTokens:
    """A `tokenFile` is read now, and looked for in `folder`: where the list lies. Raises UnusableTokens."""
    if len(data) > MAX_BYTES:
        raise UnusableTokens(f"it has more than {MAX_BYTES} bytes")
    try:
        listed = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise UnusableTokens("it is no JSON") from None  # the text is in what JSON's errors show
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_TOKENS:
        raise UnusableTokens(f"it must be a list of 1 to {MAX_TOKENS} tokens")
    found: dict[str, Principal] = {}
    for number, entry in enumerate(listed, 1):
        try:
            token, principal = _entry(entry, folder or Path(), development=development)
        except UnusableTokens as error:
            raise UnusableTokens(f"token {number}: {error}") from None
        if token in found:
            raise UnusableTokens(f"token {number}: it is there twice")
        found[token] = principal
    return StaticTokens(found)


def _entry(entry: object, folder: Path, *, development: bool) -> tuple[str, Principal]:
    if not isinstance(entry, dict):
        raise UnusableTokens("it is no JSON object")
    for name in sorted(entry.keys() - _MEMBERS):
        raise UnusableTokens(f"{_shown(name)} is no member of it; there are {', '.join(sorted(_MEMBERS))}")
    if {"token", "tokenFile"} <= entry.keys():
        raise UnusableTokens("it has token and tokenFile, and may have one of them")
    token = _text(entry["tokenFile"], folder) if "tokenFile" in entry else entry.get("token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise UnusableTokens("token must be st_ and 32 to 250 of A-Z a-z 0-9")
    if token.startswith(DEVELOPMENT) and not development:
        raise UnusableTokens("it was made for development")
    _known(entry, "scopes", SCOPES)
    _known(entry, "roles", ROLES)
    try:
        principal = static_principal_of(entry)
    except InvalidCredential as error:
        raise UnusableTokens(str(error).replace("the claim ", "")) from None
    if not principal.scopes:
        raise UnusableTokens("it may do nothing: give it scopes or roles")
    return token, principal


def _text(named: object, folder: Path) -> str:
    if not isinstance(named, str) or not named or "\0" in named:
        raise UnusableTokens("tokenFile must be a path")
    try:
        with (folder / named).open("rb") as file:
            return file.read(MAX_TOKEN_FILE_BYTES).decode("ascii", "replace").strip()
    except OSError as error:  # the path is not shown: it may be a token in the wrong place
        raise UnusableTokens(f"its tokenFile cannot be read: {error.strerror}") from None


def _known(entry: Mapping[str, Any], name: str, table: Mapping[str, object]) -> None:
    said = entry.get(name, [])
    for each in said if isinstance(said, list) else ():
        if not isinstance(each, str) or each not in table:
            raise UnusableTokens(f"{_shown(each)} is none of the {name}: {', '.join(sorted(table))}")


def _shown(word: object) -> str:
    """What is short and of letters; anything else may be a token in the wrong place."""
    return repr(word) if isinstance(word, str) and _WORD.fullmatch(word) else "something"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members
