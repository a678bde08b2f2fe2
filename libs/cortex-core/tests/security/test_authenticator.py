"""The authenticator: who asks, found out once and then known; and who shows a bad credential is nobody else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from cortex_core.kernel import CortexError, Principal
from cortex_core.security import (
    ANONYMOUS,
    AmbiguousCredentials,
    AttemptDetails,
    AuthenticationUnavailable,
    Authenticator,
    Forbidden,
    InvalidCredential,
    KeySetDetails,
    Memo,
    Unauthenticated,
    authorize,
)
from cortex_core.testing import FakeClock

KIM = Principal("kim", scopes=frozenset({"orders:read"}), method="jwt")
BEARER = [(b"host", b"x"), (b"authorization", b"Bearer a.b.c")]


@dataclass
class Reader:
    """Knows one token, and counts who asks."""

    principal: Principal = KIM
    token: bytes = b"a.b.c"
    asked: int = 0
    meanwhile: Callable[[], None] = lambda: None

    async def read(self, token: bytes) -> Principal:
        self.asked += 1
        await asyncio.sleep(0)
        self.meanwhile()
        if token != self.token:
            raise InvalidCredential("signature", "no")
        return self.principal


@dataclass
class Keys:
    """Knows one key, unless it is away."""

    away: bool = False
    asked: int = 0

    async def check(self, secret: str) -> Principal:
        self.asked += 1
        if self.away:
            raise AuthenticationUnavailable
        if secret != "ck_1":
            raise InvalidCredential("unknown", "no such key")
        return replace(KIM, method="api-key", key_id="1")


@dataclass
class Heard:
    attempts: list[AttemptDetails] = field(default_factory=list)

    def on_attempt(self, details: AttemptDetails, /) -> None:
        self.attempts.append(details)

    def on_key_set(self, details: KeySetDetails, /) -> None:
        raise AssertionError(details)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memo(clock: FakeClock) -> Memo:
    return Memo(clock)


async def test_who_was_found_out_once_is_known_at_once(memo: Memo) -> None:
    reader = Reader()
    authenticator = Authenticator(memo, jwt=reader)
    assert authenticator.recall(BEARER) is None

    assert await authenticator.authenticate(BEARER) is KIM

    assert authenticator.recall(BEARER) is KIM
    assert await authenticator.authenticate(BEARER) is KIM
    assert reader.asked == 1


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer ck_1")],
        [(b"x-api-key", b"ck_1")],
        [(b"authorization", b"bearer ck_1")],
        [(b"sec-websocket-protocol", b"cortex.bearer.ck_1")],
        [(b"authorization", b"Bearer ck_1"), (b"x-api-key", b"ck_1")],
    ],
)
async def test_a_key_is_one_key_wherever_it_stands(memo: Memo, headers: list[tuple[bytes, bytes]]) -> None:
    keys = Keys()
    authenticator = Authenticator(memo, keys=keys)
    await authenticator.authenticate([(b"x-api-key", b"ck_1")])

    assert (await authenticator.authenticate(headers)).key_id == "1"
    assert authenticator.recall(headers) in {None, await authenticator.authenticate(headers)}
    assert keys.asked == 1


async def test_nobody_is_anonymous_where_that_is_allowed_and_refused_elsewhere(memo: Memo) -> None:
    lax, strict = Authenticator(memo, anonymous=ANONYMOUS), Authenticator(memo)

    assert lax.recall([(b"host", b"x")]) is ANONYMOUS
    assert await lax.authenticate([]) is ANONYMOUS
    assert strict.recall([]) is None
    with pytest.raises(Unauthenticated) as refused:
        await strict.authenticate([])
    assert refused.value.code == "auth.required"
    assert refused.value.response_headers == {"WWW-Authenticate": 'Bearer realm="cortex"'}


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([(b"authorization", b"Bearer x.y.z")], InvalidCredential),
        ([(b"authorization", b"Basic eDp5")], InvalidCredential),
        ([(b"x-api-key", b"ck_2")], InvalidCredential),
        ([(b"x-cortex-principal", b"x.y.z")], InvalidCredential),
        ([(b"authorization", b"Bearer a.b.c"), (b"x-api-key", b"ck_1")], AmbiguousCredentials),
    ],
)
async def test_who_shows_a_bad_credential_is_not_served_as_nobody(
    memo: Memo, headers: list[tuple[bytes, bytes]], error: type[CortexError]
) -> None:
    authenticator = Authenticator(memo, jwt=Reader(), internal=Reader(), keys=Keys(), anonymous=ANONYMOUS)

    assert authenticator.recall(headers) is None
    with pytest.raises(error):
        await authenticator.authenticate(headers)


async def test_a_flood_of_one_bad_token_costs_nothing(memo: Memo, clock: FakeClock) -> None:
    reader = Reader()
    authenticator = Authenticator(memo, jwt=reader)
    for _ in range(100):
        with pytest.raises(InvalidCredential):
            await authenticator.authenticate([(b"authorization", b"Bearer bad")])
    assert reader.asked == 1

    await clock.advance(5)
    with pytest.raises(InvalidCredential):
        await authenticator.authenticate([(b"authorization", b"Bearer bad")])
    assert reader.asked == 2


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Digest a.b.c")],
        [(b"authorization", b"Bearer a.b.c"), (b"x-api-key", b"ck_1")],
        [(b"authorization", b"Bearer a.b.c"), (b"authorization", b"Bearer a.b.d")],
        [(b"x-api-key", b"a.b.c")],
    ],
)
async def test_who_is_known_is_known_by_nothing_else(memo: Memo, headers: list[tuple[bytes, bytes]]) -> None:
    authenticator = Authenticator(memo, jwt=Reader(), keys=Keys())
    await authenticator.authenticate(BEARER)

    assert authenticator.recall(headers) is None
    with pytest.raises(CortexError):
        await authenticator.authenticate(headers)


async def test_a_refusal_of_before_the_keys_changed_is_not_remembered(memo: Memo) -> None:
    reader = Reader(token=b"other", meanwhile=memo.clear)
    authenticator = Authenticator(memo, jwt=reader)
    with pytest.raises(InvalidCredential):
        await authenticator.authenticate(BEARER)

    reader.token = b"a.b.c"

    assert await authenticator.authenticate(BEARER) is KIM


async def test_an_outage_is_no_refusal_and_is_not_remembered(memo: Memo) -> None:
    keys = Keys(away=True)
    authenticator = Authenticator(memo, keys=keys)
    with pytest.raises(AuthenticationUnavailable):
        await authenticator.authenticate([(b"x-api-key", b"ck_1")])

    keys.away = False

    assert (await authenticator.authenticate([(b"x-api-key", b"ck_1")])).key_id == "1"


async def test_a_key_that_is_known_goes_on_while_its_store_is_away(memo: Memo, clock: FakeClock) -> None:
    keys = Keys()
    authenticator = Authenticator(memo, keys=keys)
    await authenticator.authenticate([(b"x-api-key", b"ck_1")])
    keys.away = True

    await clock.advance(59)
    assert authenticator.recall([(b"x-api-key", b"ck_1")]) is not None

    await clock.advance(1)
    with pytest.raises(AuthenticationUnavailable):
        await authenticator.authenticate([(b"x-api-key", b"ck_1")])


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(memo: Memo) -> None:
    reader = Reader(replace(KIM, key_id="1"), meanwhile=lambda: memo.forget("1"))
    authenticator = Authenticator(memo, jwt=reader)

    await authenticator.authenticate(BEARER)

    assert authenticator.recall(BEARER) is None


async def test_at_the_edge_an_internal_token_is_nobody_s_word(memo: Memo) -> None:
    authenticator = Authenticator(memo, internal=Reader(), anonymous=ANONYMOUS, edge=True)

    assert authenticator.recall([(b"x-cortex-principal", b"a.b.c")]) is ANONYMOUS
    assert await authenticator.authenticate([(b"x-cortex-principal", b"a.b.c")]) is ANONYMOUS


async def test_inside_an_internal_token_is_known_by_its_own_name(memo: Memo) -> None:
    authenticator = Authenticator(memo, internal=Reader())
    await authenticator.authenticate([(b"x-cortex-principal", b"a.b.c")])

    assert authenticator.recall([(b"x-cortex-principal", b"a.b.c")]) is KIM
    assert authenticator.recall([(b"authorization", b"Bearer a.b.c")]) is None


async def test_an_anonymous_caller_of_the_gateway_is_refused_where_nobody_may_be(memo: Memo) -> None:
    strict = Authenticator(memo, internal=Reader(ANONYMOUS))

    with pytest.raises(InvalidCredential):
        await strict.authenticate([(b"x-cortex-principal", b"a.b.c")])


async def test_a_tenant_that_is_not_served_here_is_refused(memo: Memo) -> None:
    authenticator = Authenticator(memo, jwt=Reader(replace(KIM, tenant="acme")), tenants={"public"})

    with pytest.raises(InvalidCredential) as refused:
        await authenticator.authenticate(BEARER)
    assert refused.value.reason == "tenant"


async def test_outcomes_are_told_and_say_nothing_of_anybody(memo: Memo) -> None:
    heard = Heard()
    authenticator = Authenticator(memo, jwt=Reader(), keys=Keys(away=True), hooks=heard)
    for headers in (BEARER, BEARER, [(b"authorization", b"Bearer bad")], [(b"x-api-key", b"ck_1")], []):
        try:
            await authenticator.authenticate(headers)
        except CortexError:
            continue

    assert heard.attempts == [
        AttemptDetails("jwt", "accepted"),
        AttemptDetails("jwt", "refused", "signature"),
        AttemptDetails("api-key", "unavailable", "unavailable"),
        AttemptDetails("none", "refused", "none"),
    ]


def test_who_may_not_is_told_what_he_lacks() -> None:
    authorize(KIM, "orders:read")

    with pytest.raises(Forbidden) as refused:
        authorize(KIM, "orders:write")
    assert refused.value.details == {"scope": "orders:write"}
    assert refused.value.response_headers["WWW-Authenticate"] == (
        'Bearer realm="cortex", error="insufficient_scope", scope="orders:write"'
    )
