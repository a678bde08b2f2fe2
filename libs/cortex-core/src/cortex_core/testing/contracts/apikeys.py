"""What every `ApiKeys` must do. An adapter's test subclasses `ApiKeysContract` and provides `keys`, which takes at most
`MOST` of a tenant."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from cortex_core.kernel.ids import new_id
from cortex_core.security.api_keys import (
    ApiKey,
    ApiKeys,
    KeyChanged,
    KeyNotFound,
    KeyRevoked,
    SecretHash,
    TooManyKeys,
)

MOST: Final = 12
NOW: Final = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


def a_secret(digest: bytes = b"\x01" * 32, **changes: Any) -> SecretHash:
    return replace(SecretHash(digest, "0badcafe", NOW), **changes)


def a_key(tenant: str = "acme", **changes: Any) -> ApiKey:
    key = ApiKey(
        id=new_id("key"),
        tenant=tenant,
        name="Nightly export: “all”",
        subject="export",
        scopes=frozenset({"orders:read", "files:read"}),
        created_at=NOW,
        created_by="root",
        secrets=(a_secret(),),
        plan="pro",
        expires_at=NOW + timedelta(days=30),
    )
    return replace(key, **changes)


async def added(keys: ApiKeys, tenant: str = "acme", **changes: Any) -> ApiKey:
    key = a_key(tenant, **changes)
    await keys.add(key)
    return key


class ApiKeysContract:
    """See the module."""

    @pytest.fixture
    async def keys(self) -> ApiKeys:
        raise NotImplementedError("the adapter's test provides it")

    async def test_what_was_added_is_found_as_it_was(self, keys: ApiKeys) -> None:
        full = await added(keys)
        bare = await added(keys, plan=None, expires_at=None)

        assert await keys.find(full.id) == full
        assert await keys.find(bare.id) == bare
        assert await keys.get("acme", full.id) == full

    async def test_what_was_never_added_is_not_there(self, keys: ApiKeys) -> None:
        assert await keys.find(new_id("key")) is None
        with pytest.raises(KeyNotFound) as caught:
            await keys.get("acme", new_id("key"))
        assert caught.value.code == "key.not-found"

    async def test_another_tenants_key_is_not_there_for_whoever_administers(self, keys: ApiKeys) -> None:
        key = await added(keys, "acme")
        await added(keys, "globex")

        for attempt in (
            keys.get("globex", key.id),
            keys.revoke("globex", key.id, NOW, "eve"),
            keys.rotate(
                "globex", key.id, replaces=key.secrets[0].digest, secrets=(a_secret(b"\x02" * 32),), at=NOW, by="eve"
            ),
        ):
            with pytest.raises(KeyNotFound):
                await attempt
        assert key.id not in [each.id for each in await keys.page("globex", limit=100)]
        assert await keys.find(key.id) == key

    async def test_a_page_has_the_newest_first_and_goes_on_where_the_last_ended(self, keys: ApiKeys) -> None:
        made = [await added(keys) for _ in range(5)]
        newest_first = [key.id for key in reversed(made)]

        first = await keys.page("acme", limit=2)
        second = await keys.page("acme", limit=2, before=first[-1].id)
        third = await keys.page("acme", limit=2, before=second[-1].id)

        assert [[key.id for key in page] for page in (first, second, third)] == [
            newest_first[:2],
            newest_first[2:4],
            newest_first[4:],
        ]
        assert await keys.page("acme", limit=2, before=made[0].id) == []
        assert await keys.page("nobody", limit=2) == []

    async def test_a_tenant_has_so_many_keys_and_no_more(self, keys: ApiKeys) -> None:
        made = [await added(keys) for _ in range(MOST)]
        await keys.revoke("acme", made[0].id, NOW, "root")

        with pytest.raises(TooManyKeys):
            await added(keys)

        await added(keys, "globex")
        assert len(await keys.page("acme", limit=100)) == MOST

    async def test_what_was_revoked_stays_and_says_when_and_by_whom(self, keys: ApiKeys) -> None:
        key = await added(keys)

        revoked = await keys.revoke("acme", key.id, NOW, "root")

        assert revoked == replace(key, revoked_at=NOW, revoked_by="root")
        assert await keys.find(key.id) == revoked

    async def test_of_several_revocations_the_first_counts(self, keys: ApiKeys) -> None:
        key = await added(keys)
        first = await keys.revoke("acme", key.id, NOW, "root")

        again = await keys.revoke("acme", key.id, NOW + timedelta(hours=1), "another")

        assert again == first

    async def test_rotation_puts_secrets_in_place_and_says_when_and_by_whom(self, keys: ApiKeys) -> None:
        key = await added(keys)
        secrets = (a_secret(b"\x02" * 32), replace(key.secrets[0], valid_until=NOW + timedelta(minutes=5)))

        rotated = await keys.rotate("acme", key.id, replaces=key.secrets[0].digest, secrets=secrets, at=NOW, by="root")

        assert rotated == replace(key, secrets=secrets, rotated_at=NOW, rotated_by="root")
        assert await keys.find(key.id) == rotated

    async def test_a_revoked_key_is_not_rotated(self, keys: ApiKeys) -> None:
        key = await added(keys)
        revoked = await keys.revoke("acme", key.id, NOW, "root")

        with pytest.raises(KeyRevoked):
            await keys.rotate(
                "acme", key.id, replaces=key.secrets[0].digest, secrets=(a_secret(b"\x02" * 32),), at=NOW, by="root"
            )

        assert await keys.find(key.id) == revoked

    async def test_of_many_rotations_at_once_one_is_made(self, keys: ApiKeys) -> None:
        key = await added(keys)
        present = key.secrets[0].digest

        answers = await asyncio.gather(
            *(
                keys.rotate("acme", key.id, replaces=present, secrets=(a_secret(bytes([n]) * 32),), at=NOW, by=f"{n}")
                for n in range(2, 34)
            ),
            return_exceptions=True,
        )

        made = [answer for answer in answers if isinstance(answer, ApiKey)]
        assert len(made) == 1
        assert all(isinstance(answer, KeyChanged) for answer in answers if not isinstance(answer, ApiKey))
        assert await keys.find(key.id) == made[0]

    async def test_revoked_while_a_hundred_rotate_and_use_it_it_is_revoked(self, keys: ApiKeys) -> None:
        key = await added(keys)

        async def rotate(n: int) -> None:
            found = await keys.get("acme", key.id)
            await keys.rotate(
                "acme",
                key.id,
                replaces=found.secrets[0].digest,
                secrets=(a_secret(bytes([n]) * 32),),
                at=NOW,
                by="root",
            )

        work = [rotate(n) for n in range(50)] + [keys.note_uses({key.id: NOW}) for _ in range(50)]
        work.insert(50, keys.revoke("acme", key.id, NOW, "root"))  # type: ignore[arg-type]  # its answer is not looked at
        await asyncio.gather(*work, return_exceptions=True)

        found = await keys.get("acme", key.id)
        assert (found.revoked_at, found.revoked_by) == (NOW, "root")

    async def test_the_last_use_only_goes_forward(self, keys: ApiKeys) -> None:
        one, other = await added(keys), await added(keys)

        await keys.note_uses({one.id: NOW, other.id: NOW + timedelta(seconds=1)})
        await keys.note_uses({one.id: NOW - timedelta(hours=1), other.id: NOW + timedelta(seconds=2)})

        assert (await keys.get("acme", one.id)).last_used_at == NOW
        assert (await keys.get("acme", other.id)).last_used_at == NOW + timedelta(seconds=2)

    async def test_a_use_of_what_is_not_there_makes_nothing(self, keys: ApiKeys) -> None:
        unknown = new_id("key")

        await keys.note_uses({unknown: NOW})
        await keys.note_uses({})

        assert await keys.find(unknown) is None

    async def test_a_use_changes_nothing_about_a_revocation(self, keys: ApiKeys) -> None:
        key = await added(keys)
        revoked = await keys.revoke("acme", key.id, NOW, "root")

        await keys.note_uses({key.id: NOW})

        assert await keys.find(key.id) == replace(revoked, last_used_at=NOW)

    async def test_what_has_ended_can_be_asked_for_from_a_moment_on(self, keys: ApiKeys) -> None:
        early, late, rotated, living = [await added(keys) for _ in range(4)]
        start = (await keys.ended_since(0)).at
        await keys.revoke("acme", early.id, NOW, "root")
        after_the_first = await keys.ended_since(start)
        await asyncio.sleep(0.002)
        middle = (await keys.ended_since(0)).at
        await keys.revoke("acme", late.id, NOW, "root")
        await keys.rotate(
            "acme",
            rotated.id,
            replaces=rotated.secrets[0].digest,
            secrets=(a_secret(b"\x02" * 32),),
            at=NOW,
            by="root",
        )

        assert after_the_first.key_ids == (early.id,)
        assert set((await keys.ended_since(start)).key_ids) == {early.id, late.id, rotated.id}
        assert set((await keys.ended_since(middle)).key_ids) == {late.id, rotated.id}
        assert (await keys.ended_since(0)).key_ids == ()
        assert living.id not in (await keys.ended_since(start)).key_ids

    async def test_it_says_that_it_answers(self, keys: ApiKeys) -> None:
        await keys.check()
