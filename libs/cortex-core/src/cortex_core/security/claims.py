"""A token's claims as a principal, and a principal as claims. Types are strict, sizes bounded; what nobody here asks
for is ignored (RFC 7519, section 4).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from cortex_core.kernel.principal import DEFAULT_TENANT, Method, Principal
from cortex_core.security.errors import InvalidCredential
from cortex_core.security.scopes import scopes_of

_SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}")
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_SCOPES: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}(?: [\x21\x23-\x5b\x5d-\x7e]{1,128}){0,63}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff]{3,320}")
_MAX_ROLES: Final = 32
_METHODS: Final = frozenset(get_args(Method))


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """Somebody whom an issuer names. `expires_at` is the token's. Raises InvalidCredential."""
    return _principal(claims, "jwt", roles=_roles(claims))


def internal_principal_of(claims: Mapping[str, Any]) -> Principal:
    """The same of what our gateway says, which knows how it was shown to it. Raises InvalidCredential."""
    method = claims.get("method")
    if not isinstance(method, str) or method not in _METHODS:
        raise _wrong("method")
    key_id = _optional(claims, "key_id", _NAME)
    return _principal(claims, method, roles=_roles(claims), key_id=key_id)  # type: ignore[arg-type]  # one of them


def claims_of(principal: Principal) -> dict[str, Any]:
    """The inverse of `internal_principal_of`, but for the token's own life."""
    claims: dict[str, Any] = {"sub": principal.subject, "tenant": principal.tenant, "method": principal.method}
    if principal.scopes:
        claims["scope"] = " ".join(sorted(principal.scopes))
    if principal.roles:
        claims["roles"] = sorted(principal.roles)
    more = {"email": principal.email, "key_id": principal.key_id, "plan": principal.plan}
    return claims | {name: value for name, value in more.items() if value is not None}


def static_principal_of(entry: Mapping[str, Any]) -> Principal:
    """The same of an entry among static tokens, which has no end. Raises InvalidCredential, naming the member."""
    scopes = entry.get("scopes", [])
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise _wrong("scopes")
    claims = {name: entry[name] for name in ("sub", "tenant", "plan") if name in entry}
    return _principal({**claims, "scope": " ".join(scopes)}, "static-token", roles=_roles(entry))


def _principal(
    claims: Mapping[str, Any], method: Method, *, roles: frozenset[str], key_id: str | None = None
) -> Principal:
    subject = _optional(claims, "sub", _SUBJECT)
    if subject is None:
        raise _wrong("sub")
    scope = _optional(claims, "scope", _SCOPES) if claims.get("scope") != "" else None
    return Principal(
        subject=subject,
        tenant=_optional(claims, "tenant", _TENANT) or DEFAULT_TENANT,
        scopes=frozenset(scope.split(" ") if scope else ()) | scopes_of(roles),
        roles=roles,
        method=method,
        email=_optional(claims, "email", _EMAIL),
        key_id=key_id,
        plan=_optional(claims, "plan", _NAME),
        expires_at=float(claims["exp"]) if "exp" in claims else None,
    )


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or len(roles) > _MAX_ROLES:
        raise _wrong("roles")
    if not all(isinstance(role, str) and _NAME.fullmatch(role) for role in roles):
        raise _wrong("roles")
    return frozenset(roles)


def _optional(claims: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(name)
    return value


def _wrong(name: str) -> InvalidCredential:
    return InvalidCredential("claims", f"the claim {name} is missing or not what it must be")
