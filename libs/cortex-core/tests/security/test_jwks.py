"""An issuer's keys: fetched once for all who wait, rotated, believed for a while when their source is away."""

import asyncio
import json
from typing import Any

import pytest

from cortex_core.security import AttemptDetails, AuthenticationUnavailable, KeySetDetails
from cortex_core.security.jwks import (
    MAX_BYTES,
    MAX_KEYS,
    RotatingKeys,
    UnusableKeySet,
    parse_key_set,
    parse_signing_key,
)
from cortex_core.security.signatures import SigningKey
from cortex_core.testing import FakeClock
from cortex_core.testing.issuing import generated_key

ONE, OTHER = (dict(SigningKey.of(generated_key(kid)).public) for kid in ("k1", "k2"))


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


class Source:
    """Where keys are fetched: counts, may be away, may take until it is told."""

    def __init__(self, *keys: Any) -> None:
        self.answer: bytes | Exception = key_set(*keys)
        self.fetched = 0
        self.held: asyncio.Event | None = None

    async def __call__(self) -> bytes:
        self.fetched += 1
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Heard:
    def __init__(self) -> None:
        self.sets: list[KeySetDetails] = []

    def on_attempt(self, details: AttemptDetails, /) -> None:
        raise AssertionError(details)

    def on_key_set(self, details: KeySetDetails, /) -> None:
        self.sets.append(details)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_keys_are_fetched_when_the_first_is_wanted(clock: FakeClock) -> None:
    source = Source(ONE)
    keys = RotatingKeys(source, clock)
    assert (keys.find("k1"), source.fetched) == (None, 0)

    await keys.refresh()

    assert keys.find("k1") is not None
    assert keys.find("k2") is None


async def test_a_crowd_that_knows_no_key_fetches_once(clock: FakeClock) -> None:
    source = Source(ONE)
    source.held = asyncio.Event()
    keys = RotatingKeys(source, clock)
    crowd = [asyncio.create_task(keys.refresh()) for _ in range(50)]
    await asyncio.sleep(0)
    crowd[0].cancel()  # who gives up takes nobody with him

    source.held.set()
    await asyncio.gather(*crowd[1:])

    assert source.fetched == 1
    assert keys.find("k1") is not None


async def test_made_up_keys_fetch_at_most_every_thirty_seconds(clock: FakeClock) -> None:
    source = Source(ONE)
    keys = RotatingKeys(source, clock)
    for _ in range(10):
        await keys.refresh()
    assert source.fetched == 1

    await clock.advance(30)
    await keys.refresh()
    assert source.fetched == 2


async def test_old_and_new_keys_are_valid_together_and_a_removed_one_is_not(clock: FakeClock) -> None:
    source, removals = Source(ONE), 0

    def removed() -> None:
        nonlocal removals
        removals += 1

    keys = RotatingKeys(source, clock, on_removed=removed)
    await keys.refresh()

    source.answer = key_set(ONE, OTHER)
    await clock.advance(30)
    await keys.refresh()
    assert keys.find("k1") is not None
    assert keys.find("k2") is not None
    assert removals == 0

    source.answer = key_set(OTHER)
    await clock.advance(30)
    await keys.refresh()
    assert keys.find("k1") is None
    assert removals == 1

    source.answer = key_set({**ONE, "kid": "k2"})
    await clock.advance(30)
    await keys.refresh()
    assert removals == 2  # another key under the same name is another key


async def test_an_old_set_is_refreshed_behind_the_request(clock: FakeClock) -> None:
    source = Source(ONE)
    keys = RotatingKeys(source, clock)
    await keys.refresh()
    source.answer = key_set(ONE, OTHER)

    await clock.advance(301)
    assert keys.find("k1") is not None  # at once, with what there is
    assert keys.find("k2") is None
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert keys.find("k2") is not None


async def test_while_its_source_is_away_a_set_is_believed_for_an_hour(clock: FakeClock) -> None:
    source, heard = Source(ONE), Heard()
    keys = RotatingKeys(source, clock, hooks=heard)
    await keys.refresh()
    source.answer = OSError("unreachable")

    await clock.advance(3899)
    assert keys.find("k1") is not None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard.sets[-1] == KeySetDetails(1, error="OSError: unreachable")

    await clock.advance(2)
    with pytest.raises(AuthenticationUnavailable):
        keys.find("k1")

    source.answer = key_set(ONE)
    await clock.advance(30)
    await keys.refresh()
    assert keys.find("k1") is not None


async def test_keys_that_were_never_to_be_had_are_an_outage_and_no_refusal(clock: FakeClock) -> None:
    source = Source()
    source.answer = OSError("unreachable")
    keys = RotatingKeys(source, clock)
    with pytest.raises(AuthenticationUnavailable):
        await keys.refresh()

    with pytest.raises(AuthenticationUnavailable):
        keys.find("k1")
    with pytest.raises(AuthenticationUnavailable):
        await keys.refresh()
    assert source.fetched == 1

    source.answer = key_set(ONE)
    await clock.advance(2)
    assert keys.find("k1") is None
    await keys.refresh()
    assert keys.find("k1") is not None


async def test_they_are_also_where_asking_in_vain_took_longer_than_the_pause(clock: FakeClock) -> None:
    """A source that hangs: by the end of it the next may be asked already, and nobody knows whose key it is."""

    async def hangs() -> bytes:
        await clock.sleep(3)
        raise OSError("no answer")

    keys = RotatingKeys(hangs, clock)
    asking = asyncio.create_task(keys.refresh())
    await asyncio.sleep(0)
    await clock.advance(3)

    with pytest.raises(AuthenticationUnavailable):
        await asking


async def test_a_broken_set_changes_nothing(clock: FakeClock) -> None:
    source = Source(ONE)
    keys = RotatingKeys(source, clock)
    await keys.refresh()
    for broken in (b"", b"[]", b'{"keys": {}}', key_set(), b"\xff", b"[" * 100_000, b"{" + b" " * MAX_BYTES + b"}"):
        source.answer = broken
        await clock.advance(30)
        await keys.refresh()

        assert keys.find("k1") is not None


async def test_the_end_ends_what_is_under_way(clock: FakeClock) -> None:
    source = Source(ONE)
    source.held = asyncio.Event()
    keys = RotatingKeys(source, clock)
    waiting = asyncio.create_task(keys.refresh())
    await asyncio.sleep(0)

    await keys.aclose()

    assert waiting.done() or waiting.cancel()
    await asyncio.wait({waiting})


def test_what_is_not_ours_is_left_out_and_told() -> None:
    private = generated_key("k3")
    keys, ignored = parse_key_set(key_set(ONE, private, {"kty": "oct", "k": "AAAA", "kid": "k4"}, 1, {}))

    assert set(keys) == {"k1"}
    assert len(ignored) == 4
    assert private["d"] not in str(ignored)


def test_of_two_with_one_name_neither_is_taken() -> None:
    keys, ignored = parse_key_set(key_set(ONE, {**OTHER, "kid": "k1"}, OTHER))

    assert set(keys) == {"k2"}
    assert ignored == ["another has the same kid"]


def test_production_does_not_know_a_developer_s_keys() -> None:
    developers = {**ONE, "kid": "dev-1"}

    assert set(parse_key_set(key_set(developers), development=True)[0]) == {"dev-1"}
    with pytest.raises(UnusableKeySet, match="developer"):
        parse_key_set(key_set(developers))
    with pytest.raises(UnusableKeySet, match="developer"):
        parse_signing_key(json.dumps(generated_key("dev-1")).encode())


def test_a_set_has_bounds() -> None:
    with pytest.raises(UnusableKeySet, match="64"):
        parse_key_set(key_set(*[ONE] * (MAX_KEYS + 1)))
    with pytest.raises(UnusableKeySet, match="bytes"):
        parse_key_set(key_set(ONE) + b" " * MAX_BYTES)


@pytest.mark.parametrize("data", [b"", b"{}", b"canary", json.dumps(ONE).encode(), b'{"kty":"oct","k":"canary"}'])
def test_a_signing_key_that_is_none_is_refused_and_not_shown(data: bytes) -> None:
    with pytest.raises(UnusableKeySet) as refused:
        parse_signing_key(data)

    assert "canary" not in f"{refused.value} {refused.value.__cause__!r}"


def test_a_key_shows_nothing_of_itself() -> None:
    jwk = generated_key("k1")
    key = parse_signing_key(json.dumps(jwk).encode())

    assert jwk["d"] not in repr(key)
    assert "d" not in key.public
