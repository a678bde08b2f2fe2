"""The memo: who is remembered, for how long, and how he is forgotten."""

import gc
from dataclasses import replace

import pytest

from cortex_core.kernel import Principal
from cortex_core.security import InvalidCredential, Memo
from cortex_core.security.credentials import Credential, Kind
from cortex_core.testing import FakeClock

KIM = Principal("kim", method="jwt")
JWT = Credential(Kind.JWT, b"a.b.c")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memo(clock: FakeClock) -> Memo:
    return Memo(clock, capacity=3)


def keep(memo: Memo, credential: Credential = JWT, principal: Principal = KIM) -> None:
    memo.keep(credential, principal, memo.generation)


async def test_somebody_is_remembered_for_a_minute(memo: Memo, clock: FakeClock) -> None:
    keep(memo)

    await clock.advance(59.9)
    assert memo.who(b"a.b.c") is KIM

    await clock.advance(0.1)
    assert memo.who(b"a.b.c") is None


async def test_nobody_is_remembered_beyond_his_credential_s_end(memo: Memo, clock: FakeClock) -> None:
    keep(memo, principal=replace(KIM, expires_at=clock.now().timestamp() + 5))

    await clock.advance(4.9)
    assert memo.who(b"a.b.c") is not None

    await clock.advance(0.1)
    assert memo.who(b"a.b.c") is None


def test_what_has_ended_is_not_kept_at_all(memo: Memo, clock: FakeClock) -> None:
    keep(memo, principal=replace(KIM, expires_at=clock.now().timestamp()))

    assert len(memo) == 0


def test_an_internal_token_and_a_public_one_are_never_taken_for_each_other(memo: Memo) -> None:
    keep(memo, Credential(Kind.TOKEN, b"a.b.c"))

    assert memo.who_inside(b"a.b.c") is KIM
    assert memo.who(b"a.b.c") is None


def test_the_oldest_makes_room_and_refusals_have_a_room_of_their_own(memo: Memo) -> None:
    keep(memo)
    for number in range(10):
        memo.keep_refusal(Credential(Kind.JWT, b"bad%d" % number), InvalidCredential("signature", "no"))
    assert memo.who(b"a.b.c") is KIM
    assert len(memo) == 1 + 3

    for number in range(3):
        keep(memo, Credential(Kind.JWT, b"good%d" % number))
    assert memo.who(b"a.b.c") is None
    assert memo.who(b"good2") is KIM


async def test_a_refusal_is_remembered_for_five_seconds(memo: Memo, clock: FakeClock) -> None:
    memo.keep_refusal(JWT, InvalidCredential("expired", "the token has expired"))

    await clock.advance(4.9)
    refusal = memo.refusal(JWT)
    assert refusal is not None
    assert (refusal.reason, refusal.message) == ("expired", "the token has expired")

    await clock.advance(0.1)
    assert memo.refusal(JWT) is None


def test_a_revoked_key_is_forgotten_and_no_other(memo: Memo) -> None:
    one, other = Credential(Kind.KEY, b"ck_1"), Credential(Kind.KEY, b"ck_2")
    keep(memo, one, replace(KIM, key_id="1"))
    keep(memo, Credential(Kind.TOKEN, b"a.b.c"), replace(KIM, key_id="1"))
    keep(memo, other, replace(KIM, key_id="2"))

    memo.forget("1")

    assert memo.who(b"ck_1") is None
    assert memo.who_inside(b"a.b.c") is None
    assert memo.who(b"ck_2") is not None


def test_what_was_asked_for_before_a_revocation_is_not_kept_after_it(memo: Memo) -> None:
    asked = memo.generation
    memo.forget("1")

    memo.keep(Credential(Kind.KEY, b"ck_1"), replace(KIM, key_id="1"), asked)

    assert memo.who(b"ck_1") is None


def test_no_credential_is_held(memo: Memo) -> None:
    secret = Credential(Kind.JWT, b"canary-7fd1")
    keep(memo, secret)

    held = [each for each in gc.get_referrers(secret.value) if each is not secret and isinstance(each, dict | tuple)]

    assert not [each for each in held if any(each is value for value in vars(memo).values())]
    assert b"canary" not in b"".join(memo._known)
