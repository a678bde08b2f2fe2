"""What every `Leases` must do. An adapter's test subclasses `LeasesContract` and provides `leases` and `pass_time`,
which lets as many seconds pass on the clock that the leases go by."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from cortex_core.eventsourcing import Lease, LeaseLost, Leases
from cortex_core.kernel.context import use_context

PassTime = Callable[[float], Awaitable[None]]

TTL: Final = 600.0  # seconds: where a real clock runs on meanwhile, none ends by itself


async def taken(leases: Leases, holder: str, name: str = "relay", ttl: float = TTL) -> Lease:
    lease = await leases.acquire(name, holder, ttl)
    assert lease is not None
    return lease


class LeasesContract:
    """See the module."""

    @pytest.fixture
    async def leases(self) -> Leases:
        raise NotImplementedError("the adapter's test provides it")

    @pytest.fixture
    def pass_time(self, leases: Leases) -> PassTime:
        raise NotImplementedError("the adapter's test provides it")

    async def test_the_first_to_ask_holds_it_in_epoch_one(self, leases: Leases) -> None:
        lease = await taken(leases, "a")

        assert (lease.name, lease.holder, lease.epoch, lease.ttl) == ("relay", "a", 1, TTL)

    async def test_while_one_holds_it_another_gets_none(self, leases: Leases, pass_time: PassTime) -> None:
        await taken(leases, "a")
        await pass_time(TTL - 60)

        assert await leases.acquire("relay", "b", TTL) is None

    async def test_when_it_has_expired_another_gets_the_next_epoch(self, leases: Leases, pass_time: PassTime) -> None:
        first = await taken(leases, "a")
        await pass_time(TTL)

        second = await taken(leases, "b")

        assert (second.holder, second.epoch) == ("b", first.epoch + 1)
        assert second.expires_at > first.expires_at

    async def test_when_it_has_expired_its_own_holder_gets_the_next_epoch_too(
        self, leases: Leases, pass_time: PassTime
    ) -> None:
        await taken(leases, "a")
        await pass_time(TTL)

        assert (await taken(leases, "a")).epoch == 2

    async def test_a_holder_that_asks_again_has_lost_its_older_epoch(self, leases: Leases) -> None:
        older = await taken(leases, "a")

        newer = await taken(leases, "a")

        assert newer.epoch == older.epoch + 1
        with pytest.raises(LeaseLost):
            await leases.renew(older)
        await leases.release(older)
        assert await leases.acquire("relay", "b", TTL) is None

    async def test_renewed_it_lasts_longer_in_the_same_epoch(self, leases: Leases, pass_time: PassTime) -> None:
        lease = await taken(leases, "a")
        await pass_time(TTL - 60)

        renewed = await leases.renew(lease)
        await pass_time(TTL - 60)

        assert (renewed.epoch, renewed.holder, renewed.ttl) == (1, "a", TTL)
        assert renewed.expires_at > lease.expires_at
        assert await leases.acquire("relay", "b", TTL) is None
        assert (await leases.renew(renewed)).epoch == 1

    async def test_an_expired_lease_is_not_renewed_even_if_nobody_took_it(
        self, leases: Leases, pass_time: PassTime
    ) -> None:
        lease = await taken(leases, "a")
        await pass_time(TTL)

        with pytest.raises(LeaseLost) as caught:
            await leases.renew(lease)

        assert (caught.value.code, caught.value.details) == ("lease.lost", {"lease": "relay", "epoch": 1})
        assert not caught.value.retryable

    async def test_a_lease_that_changed_hands_is_not_renewed(self, leases: Leases, pass_time: PassTime) -> None:
        lease = await taken(leases, "a")
        await pass_time(TTL)
        other = await taken(leases, "b")

        with pytest.raises(LeaseLost):
            await leases.renew(lease)

        assert (await leases.renew(other)).epoch == 2

    async def test_a_lease_nobody_ever_gave_is_not_renewed(self, leases: Leases) -> None:
        lease = await taken(leases, "a")

        with pytest.raises(LeaseLost):
            await leases.renew(Lease("another", "a", 1, lease.expires_at, TTL))

    async def test_released_it_is_free_at_once_and_its_epoch_is_remembered(self, leases: Leases) -> None:
        lease = await taken(leases, "a")

        await leases.release(lease)

        with pytest.raises(LeaseLost):
            await leases.renew(lease)
        assert (await taken(leases, "b")).epoch == 2

    async def test_releasing_what_is_not_held_any_more_changes_nothing(
        self, leases: Leases, pass_time: PassTime
    ) -> None:
        lease = await taken(leases, "a")
        await pass_time(TTL)
        other = await taken(leases, "b")

        await leases.release(lease)
        await leases.release(lease)

        assert await leases.acquire("relay", "a", TTL) is None
        assert (await leases.renew(other)).epoch == 2

    async def test_a_name_is_one_within_its_tenant(self, leases: Leases) -> None:
        with use_context(tenant="acme"):
            mine = await taken(leases, "a")
        with use_context(tenant="globex"):
            await taken(leases, "b")
            await taken(leases, "c", name="another")
            with pytest.raises(LeaseLost):
                await leases.renew(mine)
            await leases.release(mine)
        with use_context(tenant="acme"):
            assert (await leases.renew(mine)).epoch == 1

    async def test_of_many_that_ask_at_once_one_gets_it(self, leases: Leases, pass_time: PassTime) -> None:
        for epoch in range(1, 4):
            answers = await asyncio.gather(*(leases.acquire("relay", f"{epoch}.{n}", TTL) for n in range(16)))

            assert [each.epoch for each in answers if each is not None] == [epoch]
            await pass_time(TTL)

    @pytest.mark.parametrize(
        ("name", "holder", "ttl"), [("", "a", 1.0), ("relay", "", 1.0), ("relay", "a", 0.0), ("relay", "a", 86_401.0)]
    )
    async def test_impossible_terms_are_refused(self, leases: Leases, name: str, holder: str, ttl: float) -> None:
        with pytest.raises(ValueError, match="must"):
            await leases.acquire(name, holder, ttl)

        assert (await taken(leases, "b")).epoch == 1
