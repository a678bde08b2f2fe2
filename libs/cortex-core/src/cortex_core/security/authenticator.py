"""The authenticator: who asks, whatever the credential. `recall` says it at once or not at all; `authenticate` finds
out.

Owns the precedence: one credential a request, none is weighed against another, and who shows a bad one is refused,
never served as somebody else; and that no flood of API keys keeps others from being looked up: one that many show at
once is looked up once, and of one source a few at a time. Refuses to know tokens (`jwt.py`), keys (`KeyChecker`), or
what anybody may do (`authorize`).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from cortex_core.kernel.errors import CortexError
from cortex_core.kernel.principal import Principal
from cortex_core.security.credentials import (
    API_KEY,
    AUTHORIZATION,
    CARRIERS,
    INTERNAL,
    PUBLIC_CARRIERS,
    Credential,
    Kind,
    find_credential,
)
from cortex_core.security.errors import (
    AmbiguousCredentials,
    AuthenticationUnavailable,
    InvalidCredential,
    Unauthenticated,
)
from cortex_core.security.hooks import AttemptDetails, AuthenticationHooks, Unheard
from cortex_core.security.memo import Known, Memo
from cortex_core.security.scopes import ANONYMOUS_SCOPES
from cortex_core.security.turns import Turns

Headers = Iterable[tuple[bytes, bytes]]

ANONYMOUS: Final = Principal("anonymous", scopes=ANONYMOUS_SCOPES)
"""Who asks where nobody has to say who he is."""


class TokenReader(Protocol):
    """Verifies tokens of one sort. See `jwt.JwtReader`."""

    async def read(self, token: bytes) -> Principal:
        """Raises InvalidCredential, AuthenticationUnavailable."""
        ...


class KeyChecker(Protocol):
    """Knows API keys."""

    async def check(self, secret: str) -> Principal:
        """Whose the key is: a principal with `key_id`. Raises InvalidCredential, AuthenticationUnavailable."""
        ...


class Authenticator:
    """What is None is not accepted here. `edge`: anybody can connect, so that X-Cortex-Principal is nobody's word.
    `tenants` are those served (None: any)."""

    def __init__(
        self,
        memo: Memo,
        *,
        jwt: TokenReader | None = None,
        internal: TokenReader | None = None,
        keys: KeyChecker | None = None,
        anonymous: Principal | None = None,
        edge: bool = False,
        tenants: Collection[str] | None = None,
        hooks: AuthenticationHooks | None = None,
        closing: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self.memo = memo
        self.anonymous = anonymous
        self.keys = keys
        self.edge = edge
        self._readers: dict[Kind, TokenReader | None] = {Kind.JWT: jwt, Kind.TOKEN: internal, Kind.STATIC: None}
        self._carriers = PUBLIC_CARRIERS if edge else CARRIERS
        self._tenants = tenants
        self._hooks = hooks or Unheard()
        self._closing = closing
        self.turns = Turns()
        self._under_way: dict[tuple[bytes, int], asyncio.Task[Principal]] = {}

    def accept_static(self, tokens: TokenReader) -> None:
        """From now on static tokens are accepted, those that `tokens` knows."""
        self._readers[Kind.STATIC] = tokens

    def recall(self, headers: Headers) -> Principal | None:
        """Who this is where that is known without asking anybody, or nobody is named and nobody has to be. None: ask
        `authenticate`."""
        known = self.remembered(headers)
        return None if known is None else known[0]

    def remembered(self, headers: Headers) -> Known | None:
        """The same, and until when that holds: a reading of `memo.monotonic`, as long as `memo.generation` is what it
        is now."""
        carriers = self._carriers
        found = [pair for pair in headers if pair[0] in carriers]
        if not found:
            return None if self.anonymous is None else (self.anonymous, math.inf)
        if len(found) > 1:
            return None
        name, value = found[0]
        if name == AUTHORIZATION:
            return self.memo.known(value[7:]) if value[:7] == b"Bearer " else None
        if name == INTERNAL:
            return self.memo.known_inside(value)
        return self.memo.known(value) if name == API_KEY and value[:3] == b"ck_" else None

    async def authenticate(self, headers: Headers, source: str | None = None) -> Principal:
        """`source`: where it comes from, an address; its look-ups of API keys wait for each other. Raises
        Unauthenticated, AmbiguousCredentials, AuthenticationUnavailable."""
        try:
            credential = find_credential(headers, self._carriers)
        except (InvalidCredential, AmbiguousCredentials) as error:
            self._tell("none", error)
            raise
        if credential is None:
            if self.anonymous is None:
                nobody = Unauthenticated()
                self._tell("none", nobody)
                raise nobody
            return self.anonymous
        return self._remembered(credential) or await self._verified(credential, source)

    def _remembered(self, credential: Credential) -> Principal | None:
        inside = credential.kind is Kind.TOKEN
        known = self.memo.who_inside(credential.value) if inside else self.memo.who(credential.value)
        if known is None and (refusal := self.memo.refusal(credential)) is not None:
            self._tell(credential.kind.value, refusal)
            raise refusal
        return known

    async def _verified(self, credential: Credential, source: str | None) -> Principal:
        since = self.memo.generation
        try:
            principal = await self._ask(credential, source, since)
            self._check_tenant(principal)
        except InvalidCredential as error:
            if since == self.memo.generation:
                self.memo.keep_refusal(credential, error)
            self._tell(credential.kind.value, error)
            raise
        except AuthenticationUnavailable as error:
            self._tell(credential.kind.value, error)
            raise
        self.memo.keep(credential, principal, since)
        self._hooks.on_attempt(AttemptDetails(credential.kind.value, "accepted"))
        return principal

    def _check_tenant(self, principal: Principal) -> None:
        if self._tenants is not None and principal.tenant not in self._tenants:
            raise InvalidCredential("tenant", "the tenant of this credential is not served here")

    async def aclose(self) -> None:
        """Ends what goes on behind the requests: keys being fetched."""
        for close in self._closing:
            await close()

    async def _ask(self, credential: Credential, source: str | None, since: int) -> Principal:
        if credential.kind is Kind.KEY:
            if self.keys is None:
                raise InvalidCredential("unsupported", "API keys are not accepted here")
            return await self._looked_up(self.keys, credential.value, source, since)
        reader = self._readers[credential.kind]
        if reader is None:
            raise InvalidCredential("unsupported", "tokens of this sort are not accepted here")
        principal = await reader.read(credential.value)
        if credential.kind is Kind.TOKEN and principal.method == "anonymous" and self.anonymous is None:
            raise InvalidCredential("anonymous", "nobody is served here without a name")
        return principal

    async def _looked_up(self, keys: KeyChecker, value: bytes, source: str | None, since: int) -> Principal:
        """Whoever asks while it is asked for gets the same answer; not who asks after something was forgotten, for by
        then it may be another."""
        flight = self._under_way.get((value, since))
        if flight is None:
            flight = asyncio.create_task(self._check_in_turn(keys, value, source), name="api-key")
            self._under_way[value, since] = flight
            flight.add_done_callback(lambda done: self._landed((value, since), done))
        return await asyncio.shield(flight)

    async def _check_in_turn(self, keys: KeyChecker, value: bytes, source: str | None) -> Principal:
        async with self.turns.of(source):
            return await keys.check(value.decode("ascii"))

    def _landed(self, flight: tuple[bytes, int], done: asyncio.Task[Principal]) -> None:
        del self._under_way[flight]
        if not done.cancelled():
            done.exception()  # its askers may be gone: somebody has to have looked

    def _tell(self, method: str, error: CortexError) -> None:
        unavailable = isinstance(error, AuthenticationUnavailable)
        reason = getattr(error, "reason", "unavailable" if unavailable else "ambiguous")
        self._hooks.on_attempt(AttemptDetails(method, "unavailable" if unavailable else "refused", reason))
