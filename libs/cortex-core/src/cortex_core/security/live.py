"""Live sessions: what is opened once and goes on for days is over when the credential that opened it is.

Owns the moment: the credential's own end, by a timer; a key that is revoked or rotated, and an issuer's key that is
gone, as soon as the memo hears of it. Who may still be somebody is asked again, once, by what was shown at the opening.
Refuses to know connections: whoever has one waits for `over`, and closes it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cortex_core.kernel.clock import Clock, Timer
from cortex_core.kernel.errors import CortexError
from cortex_core.kernel.principal import Principal
from cortex_core.security.authenticator import ANONYMOUS, Authenticator
from cortex_core.security.errors import AuthenticationUnavailable

_log = logging.getLogger(__name__)

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LONGEST: Final = 3600.0  # seconds of one timer: the wall clock, by which credentials end, may be set in between


@dataclass(frozen=True, slots=True)
class Over:
    """How a session ends: a WebSocket close code, and a reason."""

    code: int
    reason: str


CREDENTIAL_ENDED: Final = Over(4401, "the credential has ended")
"""As HTTP's 401, in the range that applications have for themselves (RFC 6455, section 7.4.2)."""

NOT_TO_BE_ASKED: Final = Over(1013, "whether the credential has ended cannot be asked now; try again")
"""It is said to have ended, and whoever knows does not answer: nobody hears anything more by it."""


class Session:
    """One connection's right to go on."""

    __slots__ = ("_over", "headers", "principal", "timer")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], principal: Principal) -> None:
        self.headers = headers
        self.principal = principal
        self.timer: Timer | None = None
        self._over: asyncio.Future[Over] = asyncio.get_running_loop().create_future()

    @property
    def outcome(self) -> Over | None:
        """None: it goes on."""
        return self._over.result() if self._over.done() else None

    async def over(self) -> Over:
        """Returns when it is over; of who needs no credential it never is."""
        return await asyncio.shield(self._over)

    def end(self, outcome: Over) -> None:
        """The first to say so decides how."""
        if not self._over.done():
            self._over.set_result(outcome)


class LiveSessions:
    """All of a process. Belongs to one event loop."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._by_key: dict[str | None, dict[Session, None]] = {}  # under None: of those who have a token
        self._doubtful: dict[Session, None] = {}
        self._asking: asyncio.Task[None] | None = None
        authenticator.memo.listen(self._forgotten)

    def __len__(self) -> int:
        return sum(map(len, self._by_key.values()))

    @contextmanager
    def open(self, headers: Sequence[tuple[bytes, bytes]], principal: Principal | None) -> Iterator[Session]:
        """A session of `principal`, whom `headers` have just named. None, and whoever is anonymous: one without end."""
        if principal is None or not principal.named:
            yield Session(headers, ANONYMOUS)
            return
        known = self._authenticator.recall(headers)
        session = Session(headers, known if known is not None and known.named else principal)
        siblings = self._by_key.setdefault(principal.key_id, {})
        siblings[session] = None
        try:
            self._set_timer(session)
            if known is None:  # it may have been forgotten between the asking and now
                self._doubt([session])
            yield session
        finally:
            if session.timer is not None:
                session.timer.cancel()
            self._doubtful.pop(session, None)
            del siblings[session]
            if not siblings and self._by_key.get(principal.key_id) is siblings:
                del self._by_key[principal.key_id]

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _set_timer(self, session: Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None
        until = session.principal.expires_at
        if until is None:
            return
        left = until - (self._clock.now() - _EPOCH).total_seconds()
        if left <= 0:
            session.end(CREDENTIAL_ENDED)
        else:
            session.timer = self._clock.call_later(min(left, _LONGEST), lambda: self._set_timer(session))

    def _forgotten(self, key_id: str | None) -> None:
        self._doubt(self._by_key.get(key_id, {}))

    def _doubt(self, sessions: Iterable[Session]) -> None:
        self._doubtful.update(dict.fromkeys(sessions))
        if self._doubtful and self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        """One after the other: of one credential's sessions, the memo knows after the first."""
        try:
            while self._doubtful:
                session = next(iter(self._doubtful))
                del self._doubtful[session]
                await self._ask_of(session)
                await asyncio.sleep(0)  # what is answered at once, a thousand times, is not one step of the loop
        finally:
            self._asking = None

    async def _ask_of(self, session: Session) -> None:
        before = session.principal
        try:
            now = await self._authenticator.authenticate(session.headers)
        except AuthenticationUnavailable:
            return session.end(NOT_TO_BE_ASKED)
        except CortexError:  # refused, whatever the words: the client is told in ours
            return session.end(CREDENTIAL_ENDED)
        except Exception:  # noqa: BLE001 - whatever ails a store of keys, as at the opening
            _log.exception("asking for a live session's credential failed")
            return session.end(NOT_TO_BE_ASKED)
        if (now.subject, now.tenant, now.scopes) != (before.subject, before.tenant, before.scopes):
            return session.end(CREDENTIAL_ENDED)
        if session in self._by_key.get(before.key_id, {}):  # or its client has left meanwhile
            session.principal = now
            self._set_timer(session)
