"""How somebody is turned away, in the words of RFC 6750, section 3. Messages say what is wrong, and repeat nothing that
was sent: it may be somebody's secret.
"""

from collections.abc import Mapping
from typing import Final

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.principal import Principal

_REALM: Final = 'Bearer realm="cortex"'


class Unauthenticated(CortexError):
    """Nobody is named, and here somebody has to be. The challenge is bare: nothing was wrong with what was sent."""

    code, kind, attempted = "auth.required", Kind.UNAUTHENTICATED, False
    reason = "none"
    response_headers: Mapping[str, str] = {"WWW-Authenticate": _REALM}

    def __init__(self, message: str = "say who you are: Authorization: Bearer <token or API key>") -> None:
        super().__init__(message)


class InvalidCredential(Unauthenticated):
    """A credential that is none, or is none any more. `reason` is one of few words, for counting; `message` is ASCII
    without quotation marks."""

    code = "auth.invalid-credential"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.response_headers = {"WWW-Authenticate": f'{_REALM}, error="invalid_token", error_description="{message}"'}


class AmbiguousCredentials(CortexError):
    """Two different credentials in one request: whichever we took, somebody might have meant the other."""

    code, kind, attempted = "auth.ambiguous", Kind.INVALID, False

    def __init__(self) -> None:
        super().__init__("the request carries more than one credential; send one")
        self.response_headers = {"WWW-Authenticate": f'{_REALM}, error="invalid_request"'}


class Forbidden(CortexError):
    """We know who asks, and he may not."""

    code, kind, attempted = "auth.insufficient-scope", Kind.FORBIDDEN, False

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope}", scope=scope)
        self.response_headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'}


class AuthenticationUnavailable(CortexError):
    """Who asks cannot be found out now: what is needed for it (keys of an issuer, the store of API keys) is away."""

    code, kind, attempted = "auth.unavailable", Kind.UNAVAILABLE, False

    def __init__(self, message: str = "credentials cannot be checked now; ask again", retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


def authorize(principal: Principal, scope: str) -> None:
    """Raises Forbidden, naming the scope, where `principal` does not have it."""
    if scope not in principal.scopes:
        raise Forbidden(scope)
