"""Internal tokens: everything of a principal arrives, for a minute at most, signed as seldom as may be."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel import Principal
from cortex_core.security import InternalTokens, InvalidCredential, internal_reader
from cortex_core.security.claims import claims_of
from cortex_core.security.internal import AUDIENCE, ISSUER
from cortex_core.security.jwks import FixedKeys
from cortex_core.security.jwt import INTERNAL_TOKEN, sign
from cortex_core.security.signatures import SigningKey, VerifyingKey
from cortex_core.testing import FakeClock
from cortex_core.testing.issuing import generated_key

KEY: Final = SigningKey.of(generated_key("gateway-1"))
KEYS: Final = FixedKeys({KEY.kid: VerifyingKey.of(dict(KEY.public))})
KIM: Final = Principal("kim", "acme", frozenset({"orders:read"}), method="jwt")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


NAMES = st.from_regex(r"[a-z][a-z0-9:-]{0,20}", fullmatch=True)
PRINCIPALS = st.builds(
    Principal,
    subject=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=255),
    tenant=st.sampled_from(["public", "acme"]),
    scopes=st.frozensets(NAMES, max_size=8),
    method=st.sampled_from(["jwt", "api-key", "anonymous"]),
    email=st.none() | st.just("kim@x.test"),
    key_id=st.none() | NAMES,
    plan=st.none() | NAMES,
)


@given(PRINCIPALS)
async def test_a_principal_arrives_as_it_was_sent(principal: Principal) -> None:
    clock = FakeClock()

    told = await internal_reader(KEYS, clock).read(InternalTokens(KEY, clock).header_for(principal))

    assert replace(told, expires_at=None) == principal
    assert told.email == principal.email
    assert told.expires_at == clock.now().timestamp() + 60


async def test_one_token_serves_for_two_thirds_of_its_life(clock: FakeClock) -> None:
    tokens = InternalTokens(KEY, clock)
    first = tokens.header_for(KIM)

    await clock.advance(39.9)
    assert tokens.header_for(KIM) is first

    await clock.advance(0.1)
    second = tokens.header_for(KIM)
    assert second != first
    assert (await internal_reader(KEYS, clock).read(second)).subject == "kim"


async def test_a_token_lives_for_a_minute_and_clocks_may_differ_by_ten_seconds(clock: FakeClock) -> None:
    token = InternalTokens(KEY, clock).header_for(KIM)
    reader = internal_reader(KEYS, clock)

    await clock.advance(69)
    assert (await reader.read(token)).subject == "kim"

    await clock.advance(1)
    with pytest.raises(InvalidCredential):
        await reader.read(token)


@pytest.mark.parametrize(("life", "good"), [(60.9, True), (62, False), (86_400, False)])
async def test_who_signs_for_longer_is_not_believed(clock: FakeClock, life: float, good: bool) -> None:
    now = clock.now().timestamp()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(now), "exp": int(now) + life, **claims_of(KIM)}
    reading = internal_reader(KEYS, clock).read(sign(KEY, INTERNAL_TOKEN, claims))

    if good:
        assert (await reading).subject == "kim"
    else:
        with pytest.raises(InvalidCredential, match="longer"):
            await reading


async def test_a_token_ends_with_what_its_bearer_has_shown(clock: FakeClock) -> None:
    brief = replace(KIM, expires_at=clock.now().timestamp() + 6)
    tokens = InternalTokens(KEY, clock)

    told = await internal_reader(KEYS, clock).read(tokens.header_for(brief))
    assert told.expires_at == brief.expires_at

    first = tokens.header_for(brief)
    await clock.advance(4)
    assert tokens.header_for(brief) != first


def test_principals_are_remembered_up_to_a_bound(clock: FakeClock) -> None:
    tokens = InternalTokens(KEY, clock, capacity=10)
    crowd = [replace(KIM, subject=f"kim{number}") for number in range(100)]
    for each in crowd:
        tokens.header_for(each)

    assert len(tokens._tokens) == 10
    assert tokens.header_for(crowd[-1]) is tokens.header_for(crowd[-1])


def test_two_objects_that_follow_each_other_in_memory_are_not_taken_for_each_other(clock: FakeClock) -> None:
    tokens = InternalTokens(KEY, clock)
    seen = {tokens.header_for(replace(KIM, subject=f"kim{number}")) for number in range(50)}

    assert len(seen) == 50


@pytest.mark.parametrize("lifetime", [0, 61])
def test_a_life_has_bounds(clock: FakeClock, lifetime: float) -> None:
    with pytest.raises(ValueError, match="60"):
        InternalTokens(KEY, clock, lifetime=lifetime)


@pytest.mark.parametrize("method", [None, "root", ["jwt"]])
async def test_how_somebody_was_known_is_one_of_three_words(clock: FakeClock, method: object) -> None:
    now = int(clock.now().timestamp())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "sub": "kim", "method": method}

    with pytest.raises(InvalidCredential):
        await internal_reader(KEYS, clock).read(sign(KEY, INTERNAL_TOKEN, claims))
