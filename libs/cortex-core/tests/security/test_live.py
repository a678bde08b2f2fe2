"""Live sessions: over when the credential is, and not before."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cortex_core.kernel import Principal
from cortex_core.security import ANONYMOUS, AuthenticationUnavailable, Authenticator, InvalidCredential, Memo
from cortex_core.security.live import CREDENTIAL_ENDED, NOT_TO_BE_ASKED, LiveSessions, Session
from cortex_core.testing import FakeClock, eventually

SECRET = "ck_test_secret"
HEADERS = [(b"x-api-key", SECRET.encode())]
KEY = Principal("export", method="api-key", key_id="k1", scopes=frozenset({"notifications:read"}))


class Keys:
    """Whoever knows keys, in its place: `says` is a principal, or an error."""

    def __init__(self) -> None:
        self.says: Principal | Exception = KEY
        self.asked = 0

    async def check(self, secret: str) -> Principal:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def authenticator(clock: FakeClock, keys: Keys) -> Authenticator:
    return Authenticator(Memo(clock), keys=keys, jwt=JwtOf(keys), anonymous=ANONYMOUS, edge=True)


class JwtOf:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def read(self, token: bytes) -> Principal:
        return await self._keys.check(token.decode())


@pytest.fixture
def sessions(authenticator: Authenticator, clock: FakeClock) -> LiveSessions:
    return LiveSessions(authenticator, clock)


async def at_rest(sessions: LiveSessions) -> None:
    await eventually(lambda: sessions._asking is None)


async def ended(session: Session) -> Any:
    return await asyncio.wait_for(session.over(), 30)


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (InvalidCredential("revoked", "it was"), CREDENTIAL_ENDED),
        (AuthenticationUnavailable(), NOT_TO_BE_ASKED),
        (RuntimeError("a bug"), NOT_TO_BE_ASKED),
        (replace(KEY, tenant="acme"), CREDENTIAL_ENDED),
        (replace(KEY, scopes=frozenset[str]()), CREDENTIAL_ENDED),
    ],
)
async def test_a_key_that_is_forgotten_ends_what_it_opened_unless_it_still_holds(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys, says: Any, outcome: Any
) -> None:
    principal = await authenticator.authenticate(HEADERS)
    with sessions.open(HEADERS, principal) as session:
        authenticator.memo.forget("another")
        authenticator.memo.forget("k1")
        await at_rest(sessions)
        assert session.outcome is None

        keys.says = says
        authenticator.memo.forget("k1")
        assert await ended(session) == outcome

    assert len(sessions) == 0


async def test_of_many_sessions_of_one_key_the_key_is_asked_for_once(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys
) -> None:
    principal = await authenticator.authenticate(HEADERS)
    with sessions.open(HEADERS, principal) as one, sessions.open(HEADERS, principal) as other:
        keys.says = InvalidCredential("revoked", "it was")
        authenticator.memo.forget("k1")
        assert [await ended(one), await ended(other)] == [CREDENTIAL_ENDED] * 2

    assert keys.asked == 2


async def test_a_session_ends_with_its_credential_by_itself(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.says = replace(KEY, expires_at=clock.now().timestamp() + 5 * 3600)
    with sessions.open(HEADERS, await authenticator.authenticate(HEADERS)) as session:
        for _ in range(4):
            await clock.advance(3600)
        await clock.advance(3599)
        assert session.outcome is None
        await clock.advance(1)
        assert session.outcome == CREDENTIAL_ENDED

    assert clock.sleepers == 0


async def test_a_rotated_key_s_session_lasts_as_long_as_its_old_secret(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    with sessions.open(HEADERS, await authenticator.authenticate(HEADERS)) as session:
        keys.says = replace(KEY, expires_at=clock.now().timestamp() + 60)
        authenticator.memo.forget("k1")
        await at_rest(sessions)
        await clock.advance(59)
        assert session.outcome is None
        await clock.advance(1)
        assert session.outcome == CREDENTIAL_ENDED


async def test_a_key_that_ended_between_its_check_and_the_opening_is_asked_for_again(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys
) -> None:
    principal = await authenticator.authenticate(HEADERS)
    keys.says = InvalidCredential("revoked", "it was")
    authenticator.memo.forget("k1")

    with sessions.open(HEADERS, principal) as session:
        assert await ended(session) == CREDENTIAL_ENDED


async def test_an_issuer_s_key_that_is_gone_ends_the_sessions_of_its_tokens_and_no_others(
    sessions: LiveSessions, authenticator: Authenticator, keys: Keys
) -> None:
    bearer = [(b"authorization", b"Bearer a.b.c")]
    key = await authenticator.authenticate(HEADERS)
    keys.says = Principal("kim", method="jwt")
    token = await authenticator.authenticate(bearer)
    with sessions.open(HEADERS, key) as by_key, sessions.open(bearer, token) as by_token:
        keys.says = InvalidCredential("signature", "no such key")
        authenticator.memo.clear()
        assert await ended(by_token) == CREDENTIAL_ENDED
        assert by_key.outcome is None


@pytest.mark.parametrize("principal", [None, ANONYMOUS])
async def test_who_has_no_credential_has_none_that_ends(sessions: LiveSessions, principal: Principal | None) -> None:
    with sessions.open([], principal) as session:
        assert len(sessions) == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.over(), 0)
