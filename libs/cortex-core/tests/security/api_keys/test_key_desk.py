"""Who may do what with keys."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys import (
    ApiKey,
    InvalidKeyRequest,
    KeyDesk,
    KeyNotFound,
    KeyRevoked,
    KeyWish,
    LifeExceeded,
    MemoryApiKeys,
    Peppers,
    ScopesExceeded,
    TooManySecrets,
    read_key,
)
from cortex_core.testing import FakeClock

READS = frozenset({"orders:read"})


def a_wish(**changes: Any) -> KeyWish:
    return replace(KeyWish("export", READS), **changes)


class TestMaking:
    async def test_what_is_stored_is_what_was_wished_and_a_hash(
        self, desk: KeyDesk, admin: Principal, keys: MemoryApiKeys, peppers: Peppers, clock: FakeClock
    ) -> None:
        issued = await desk.create(admin, a_wish(subject="billing", plan="pro", lives=3600))

        key = await keys.find(issued.key.id)
        assert key is not None
        assert key == issued.key
        assert (key.tenant, key.name, key.subject, key.scopes, key.plan) == ("acme", "export", "billing", READS, "pro")
        assert (key.created_at, key.created_by) == (clock.now(), "root")
        assert key.expires_at == clock.now() + timedelta(hours=1)
        text = read_key(issued.secret)
        assert text is not None
        assert (text.key_id, key.holds(text, peppers, clock.now())) == (key.id, key.secrets[0])
        assert issued.secret not in repr(issued)

    async def test_whom_nobody_named_it_speaks_for_itself(self, desk: KeyDesk, admin: Principal) -> None:
        issued = await desk.create(admin, a_wish())

        assert (issued.key.subject, issued.key.expires_at, issued.key.plan) == (issued.key.id, None, None)

    async def test_nobody_hands_out_what_they_do_not_have(
        self, desk: KeyDesk, admin: Principal, keys: MemoryApiKeys
    ) -> None:
        with pytest.raises(ScopesExceeded) as caught:
            await desk.create(admin, a_wish(scopes=frozenset({"orders:read", "orders:write", "images:write"})))

        assert caught.value.details == {"scopes": ["images:write", "orders:write"]}
        assert "images:write, orders:write" in caught.value.message
        assert await keys.page("acme", limit=10) == []

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"name": ""}, "name"),
            ({"name": " x"}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"subject": ""}, "subject"),
            ({"subject": "x y"}, "subject"),
            ({"subject": "-x"}, "subject"),
            ({"subject": "x" * 129}, "subject"),
            ({"scopes": frozenset()}, "scopes"),
            ({"scopes": frozenset(f"x{n}:read" for n in range(33))}, "scopes"),
            ({"plan": "gold"}, "free, pro"),
            ({"lives": 59.0}, "lives for"),
            ({"lives": 1e9}, "lives for"),
        ],
    )
    async def test_what_cannot_be_is_named(
        self, desk: KeyDesk, admin: Principal, changes: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(InvalidKeyRequest, match=named):
            await desk.create(admin, a_wish(**changes))

    async def test_a_scope_that_there_is_not_is_named(
        self, keys: MemoryApiKeys, peppers: Peppers, admin: Principal
    ) -> None:
        desk = KeyDesk(keys, peppers, known_scopes={"orders:read"})

        with pytest.raises(InvalidKeyRequest, match="orders:burn"):
            await desk.create(admin, a_wish(scopes=frozenset({"orders:read", "orders:burn"})))


class TestByAKey:
    """What a key makes ends no later than the key, and is made by that key, whomever it says to speak for."""

    @pytest.fixture
    def ends(self, clock: FakeClock) -> datetime:
        return clock.now() + timedelta(minutes=5)

    @pytest.fixture
    def by(self, admin: Principal, ends: datetime) -> Principal:
        return replace(admin, method="api-key", key_id="key_1", expires_at=ends.timestamp())

    async def test_it_ends_with_its_maker(self, desk: KeyDesk, by: Principal, ends: datetime) -> None:
        child, shorter = await desk.create(by, a_wish()), await desk.create(by, a_wish(lives=60))

        assert child.key.expires_at == ends
        assert shorter.key.expires_at == ends - timedelta(minutes=4)

    async def test_one_that_holds_longer_is_not_to_be_had(self, desk: KeyDesk, by: Principal, admin: Principal) -> None:
        longer = (await desk.create(admin, a_wish())).key

        with pytest.raises(LifeExceeded) as made:
            await desk.create(by, a_wish(lives=301))
        with pytest.raises(LifeExceeded):
            await desk.rotate(by, longer.id)

        assert "ends at" in made.value.message
        assert await desk.page(admin, limit=10) == [longer]

    async def test_it_may_rotate_what_it_made_and_itself(
        self, desk: KeyDesk, by: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        child = (await desk.create(by, a_wish())).key
        assert child.expires_at is not None
        itself = replace(by, key_id=child.id, expires_at=child.expires_at.timestamp())

        await desk.rotate(by, child.id)
        issued = await desk.rotate(itself, child.id)

        assert holds(issued.key, issued.secret, peppers, clock)

    async def test_a_tokens_end_and_a_key_without_one_bind_nobody(self, desk: KeyDesk, by: Principal) -> None:
        for maker in (replace(by, method="jwt", key_id=None), replace(by, expires_at=None)):
            assert (await desk.create(maker, a_wish())).key.expires_at is None

    async def test_the_record_names_the_key(self, desk: KeyDesk, by: Principal) -> None:
        key = (await desk.create(by, a_wish())).key
        await desk.rotate(by, key.id)
        revoked = await desk.revoke(by, key.id)

        assert (revoked.created_by, revoked.rotated_by, revoked.revoked_by) == ("key_1", "key_1", "key_1")


class TestAnotherTenant:
    async def test_sees_and_changes_nothing(self, desk: KeyDesk, admin: Principal, keys: MemoryApiKeys) -> None:
        key = (await desk.create(admin, a_wish())).key
        stranger = replace(admin, tenant="globex")

        for attempt in (desk.get(stranger, key.id), desk.rotate(stranger, key.id), desk.revoke(stranger, key.id)):
            with pytest.raises(KeyNotFound):
                await attempt
        assert await desk.page(stranger, limit=10) == []
        assert await keys.find(key.id) == key


class TestRotating:
    async def test_the_new_secret_holds_and_the_old_one_does_not(
        self, desk: KeyDesk, admin: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        first = await desk.create(admin, a_wish())
        await clock.advance(10)

        second = await desk.rotate(admin, first.key.id)

        assert second.secret != first.secret
        assert (second.key.rotated_at, second.key.rotated_by) == (clock.now(), "root")
        assert holds(second.key, second.secret, peppers, clock)
        assert not holds(second.key, first.secret, peppers, clock)
        assert len(second.key.secrets) == 2, "the old one is recorded"

    async def test_with_a_grace_both_hold_until_it_is_over(
        self, desk: KeyDesk, admin: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        first = await desk.create(admin, a_wish())
        second = await desk.rotate(admin, first.key.id, grace=60)
        await clock.advance(59)
        assert holds(second.key, first.secret, peppers, clock)

        await clock.advance(1)

        assert not holds(second.key, first.secret, peppers, clock)
        assert holds(second.key, second.secret, peppers, clock)

    async def test_each_old_one_holds_for_its_own_grace_whatever_is_rotated_meanwhile(
        self, desk: KeyDesk, admin: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        first = await desk.create(admin, a_wish())
        second = await desk.rotate(admin, first.key.id, grace=3600)
        await clock.advance(1800)
        third = await desk.rotate(admin, first.key.id, grace=600)
        held = []

        for seconds in (599, 1, 1199, 1):
            await clock.advance(seconds)
            held.append([holds(third.key, each.secret, peppers, clock) for each in (first, second, third)])

        assert held == [[True, True, True], [True, False, True], [True, False, True], [False, False, True]]

    async def test_without_a_grace_nothing_holds_but_the_new_one(
        self, desk: KeyDesk, admin: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        first = await desk.create(admin, a_wish())
        second = await desk.rotate(admin, first.key.id, grace=3600)
        third = await desk.rotate(admin, first.key.id)

        assert [holds(third.key, each.secret, peppers, clock) for each in (first, second, third)] == [
            False,
            False,
            True,
        ]

    async def test_a_third_secret_that_would_hold_on_is_refused_and_changes_nothing(
        self, desk: KeyDesk, admin: Principal, peppers: Peppers, clock: FakeClock
    ) -> None:
        first = await desk.create(admin, a_wish())
        await desk.rotate(admin, first.key.id, grace=60)
        third = await desk.rotate(admin, first.key.id, grace=3600)

        with pytest.raises(TooManySecrets, match="2026-"):
            await desk.rotate(admin, first.key.id, grace=1)
        assert await desk.get(admin, first.key.id) == third.key

        await clock.advance(60)
        fourth = await desk.rotate(admin, first.key.id, grace=1)
        assert holds(fourth.key, third.secret, peppers, clock)
        assert len(fourth.key.secrets) == 3, "what is over is not kept"

    async def test_the_secret_of_a_key_that_may_more_is_not_to_be_had_by_rotating_it(
        self, desk: KeyDesk, admin: Principal
    ) -> None:
        root = replace(admin, scopes=admin.scopes | {"orders:write"})
        key = (await desk.create(root, a_wish(scopes=frozenset({"orders:write"})))).key

        with pytest.raises(ScopesExceeded):
            await desk.rotate(admin, key.id)

        assert await desk.get(admin, key.id) == key

    async def test_what_is_over_is_not_rotated(self, desk: KeyDesk, admin: Principal, clock: FakeClock) -> None:
        revoked = (await desk.create(admin, a_wish())).key
        expired = (await desk.create(admin, a_wish(lives=60))).key
        await desk.revoke(admin, revoked.id)
        await clock.advance(60)

        with pytest.raises(KeyRevoked):
            await desk.rotate(admin, revoked.id)
        with pytest.raises(InvalidKeyRequest, match="expired"):
            await desk.rotate(admin, expired.id)

    @pytest.mark.parametrize("grace", [-1.0, 7 * 86_400 + 1, float("nan")])
    async def test_a_grace_has_bounds(self, desk: KeyDesk, admin: Principal, grace: float) -> None:
        key = (await desk.create(admin, a_wish())).key

        with pytest.raises(InvalidKeyRequest, match="grace"):
            await desk.rotate(admin, key.id, grace=grace)


class TestAnnouncing:
    async def test_whatever_ends_is_told(
        self, keys: MemoryApiKeys, peppers: Peppers, admin: Principal, clock: FakeClock
    ) -> None:
        told: list[tuple[str, str]] = []

        async def announce(ending: str, key: ApiKey) -> None:
            told.append((ending, key.id))

        desk = KeyDesk(keys, peppers, announce=announce, clock=clock)
        key_id = (await desk.create(admin, a_wish())).key.id
        await desk.rotate(admin, key_id)
        await desk.revoke(admin, key_id)
        await desk.revoke(admin, key_id)  # who is not sure that it was told asks again

        assert told == [("rotated", key_id), ("revoked", key_id), ("revoked", key_id)]


@pytest.mark.parametrize("key_id", ["", "key_", "ck_" + "0" * 32, "key_" + "0" * 10_000])
async def test_what_is_no_keys_id_is_no_key(desk: KeyDesk, admin: Principal, key_id: str) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await desk.get(admin, key_id)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_has_bounds(desk: KeyDesk, admin: Principal, limit: int) -> None:
    with pytest.raises(InvalidKeyRequest, match="limit"):
        await desk.page(admin, limit=limit)


def holds(key: ApiKey, secret: str, peppers: Peppers, clock: FakeClock) -> bool:
    text = read_key(secret)
    assert text is not None
    return key.holds(text, peppers, clock.now()) is not None
