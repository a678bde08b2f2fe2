"""Tokens for the hub on this machine, signed with its development key (RFC 9068, as an issuer would).

Refuses to sign for anything but development: production has an issuer of its own, and does not know this key.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cortex_cli.development_keys import AUDIENCE, ISSUER, DevelopmentKeys
from cortex_cli.refusal import Refusal

MAX_LIFE: Final = 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a token is to name, and for how many seconds."""

    subject: str
    scopes: Sequence[str] = ()
    roles: Sequence[str] = ()
    tenant: str = "public"
    plan: str | None = None
    life: int = 3600


def sign_token(state: Path, wanted: Wanted) -> str:
    """Raises Refusal."""
    from cortex_core.kernel.ids import new_id
    from cortex_core.security.jwt import ACCESS_TOKEN, sign
    from cortex_core.security.signatures import SigningKey, UnusableKey

    if os.environ.get("CORTEX_ENV", "development") not in {"development", "test"}:
        raise Refusal("CORTEX_ENV names no development: tokens come from its own issuer there")
    if not 1 <= wanted.life <= MAX_LIFE:
        raise Refusal(f"--ttl is from 1 second to {MAX_LIFE // 3600} hours", status=2)
    claims = _claims(wanted) | {"jti": new_id("tok")}
    _check(claims, wanted)
    try:
        key = SigningKey.of(DevelopmentKeys.of(state).signing_key())
    except UnusableKey as error:
        raise Refusal(f"the development key cannot be used: {error}") from None
    return sign(key, ACCESS_TOKEN, claims).decode()


def _claims(wanted: Wanted) -> dict[str, Any]:
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": wanted.subject,
        "client_id": "cortex-cli",
        "tenant": wanted.tenant,
        "iat": now,
        "exp": now + wanted.life,
    }
    if wanted.scopes:
        claims["scope"] = " ".join(dict.fromkeys(wanted.scopes))
    if wanted.roles:
        claims["roles"] = list(dict.fromkeys(wanted.roles))
    return claims if wanted.plan is None else claims | {"plan": wanted.plan}


def _check(claims: dict[str, Any], wanted: Wanted) -> None:
    """What the hub would refuse, or what allows less than it seems to, is not worth printing. Raises Refusal."""
    from cortex_core.security.claims import principal_of
    from cortex_core.security.errors import InvalidCredential
    from cortex_core.security.scopes import ROLES, SCOPES

    unknown = [each for each in wanted.scopes if each not in SCOPES]
    if unknown:
        raise Refusal(f"there is no scope {unknown[0][:80]!r}; there is {', '.join(SCOPES)}", status=2)
    strangers = [each for each in wanted.roles if each not in ROLES]
    if strangers:
        raise Refusal(f"there is no role {strangers[0][:80]!r}; there is {', '.join(ROLES)}", status=2)
    try:
        principal_of(claims)
    except InvalidCredential as error:
        raise Refusal(f"the hub would refuse this token: {error.message}", status=2) from None
