"""Who is calling, and what they may do: principals from tokens and keys, checked where they come in.

What costs time to import (`jwks`, `signatures`) is not imported here: a service without keys does without.
"""

from cortex_core.kernel import Principal
from cortex_core.security.authenticator import ANONYMOUS, Authenticator, KeyChecker, TokenReader
from cortex_core.security.errors import (
    AmbiguousCredentials,
    AuthenticationUnavailable,
    Forbidden,
    InvalidCredential,
    Unauthenticated,
    authorize,
)
from cortex_core.security.hooks import AttemptDetails, AuthenticationHooks, KeySetDetails
from cortex_core.security.internal import InternalTokens, internal_reader
from cortex_core.security.live import LiveSessions, Over, Session
from cortex_core.security.memo import Memo
from cortex_core.security.middleware import Authentication, Authorization, admit
from cortex_core.security.scopes import ROLES, SCOPES, scopes_of

__all__ = [
    "ANONYMOUS",
    "ROLES",
    "SCOPES",
    "AmbiguousCredentials",
    "AttemptDetails",
    "Authentication",
    "AuthenticationHooks",
    "AuthenticationUnavailable",
    "Authenticator",
    "Authorization",
    "Forbidden",
    "InternalTokens",
    "InvalidCredential",
    "KeyChecker",
    "KeySetDetails",
    "LiveSessions",
    "Memo",
    "Over",
    "Principal",
    "Session",
    "TokenReader",
    "Unauthenticated",
    "admit",
    "authorize",
    "internal_reader",
    "scopes_of",
]
