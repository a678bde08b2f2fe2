"""What every bus must let an operator do with dead letters."""

import pytest

from cortex_core.events import DeadLetterNotFound, EventBus, MalformedPlace
from cortex_core.testing.contracts.bus.tools import QUICK, Heard, Impossible, RecordingHooks, dead, order_event
from cortex_core.testing.waiting import eventually


class DeadLetterContract:
    """Looked at, given back to their group, dropped."""

    async def test_pages_of_dead_letters_leave_none_out_and_repeat_none(self, bus: EventBus) -> None:
        await _seven_dead(bus)

        pages, after = [], None
        while page := await bus.log.dead_letters("counting", after=after, limit=3):
            pages.append([letter.event.data["number"] for letter in page if letter.event])
            after = page[-1].entry

        assert [len(page) for page in pages] == [3, 3, 1]
        assert sorted(number for page in pages for number in page) == list(range(7))

    async def test_a_dead_letter_is_found_by_its_entry(self, bus: EventBus) -> None:
        await _seven_dead(bus)
        letters = await bus.log.dead_letters("counting")

        assert [await bus.log.dead_letter("counting", letter.entry) for letter in letters] == letters
        assert {letter.tenant for letter in letters} == {"public", "acme"}
        assert {letter.topic for letter in letters} == {"order"}

    @pytest.mark.parametrize("entry", ["public/1-1", "nobody/1-1"])
    async def test_a_dead_letter_that_is_not_there_is_not_found(self, bus: EventBus, entry: str) -> None:
        for refused in (
            bus.log.dead_letter("counting", entry),
            bus.log.replay_dead_letter("counting", entry),
            bus.log.drop_dead_letter("counting", entry),
        ):
            with pytest.raises(DeadLetterNotFound):
                await refused

    @pytest.mark.parametrize("entry", ["", "public", "public/", "/1-1", "public/x-1", "public/1-1-1", "p/" + "9" * 99])
    async def test_what_is_no_dead_letters_place_is_refused(self, bus: EventBus, entry: str) -> None:
        for refused in (
            bus.log.dead_letters("counting", after=entry),
            bus.log.dead_letter("counting", entry),
            bus.log.replay_dead_letter("counting", entry),
            bus.log.drop_dead_letter("counting", entry),
        ):
            with pytest.raises(MalformedPlace):
                await refused

    async def test_a_replayed_dead_letter_comes_again_to_its_group_and_to_nobody_else(
        self, bus: EventBus, hooks: RecordingHooks
    ) -> None:
        ill, well, live = Heard(ord_1=[Impossible("no")]), Heard(), Heard()
        await bus.consume("ill", ["order"], ill, QUICK)
        await bus.consume("well", ["order"], well, QUICK)
        await bus.subscribe(["order"], live)
        await bus.publish([order_event(7, tenant="acme")])
        await eventually(lambda: dead(bus, "ill", 1))
        (letter,) = await bus.log.dead_letters("ill")
        hooks.deliveries.clear()

        await bus.log.replay_dead_letter("ill", letter.entry)

        await eventually(lambda: len(ill.events) == 2)
        assert ill.events[0] == ill.events[1]
        assert await bus.log.dead_letters("ill") == []
        await bus.publish([order_event(8)])  # had the others been given it again, it would have come before this one
        await eventually(lambda: len(ill.events) == 3 and len(well.events) == 2 and len(live.events) == 2)
        assert (well.numbers, live.numbers) == ([7, 8], [7, 8])
        assert [details.attempt for details in hooks.deliveries if details.group == "ill"] == [1, 1]

    async def test_a_replayed_dead_letter_may_die_again_and_be_replayed_again(self, bus: EventBus) -> None:
        ill = Heard(ord_1=[Impossible("no"), Impossible("still no")])
        await bus.consume("ill", ["order"], ill, QUICK)
        await bus.publish([order_event(7)])
        await eventually(lambda: dead(bus, "ill", 1))

        (first,) = await bus.log.dead_letters("ill")
        await bus.log.replay_dead_letter("ill", first.entry)
        await eventually(lambda: dead(bus, "ill", 1))
        (second,) = await bus.log.dead_letters("ill")
        await bus.log.replay_dead_letter("ill", second.entry)

        await eventually(lambda: ill.numbers == [7, 7, 7])
        assert (first.reason, second.reason) == ("no", "still no")
        assert await bus.log.dead_letters("ill") == []

    async def test_a_dead_letter_is_replayed_once_however_often_it_is_asked_for(self, bus: EventBus) -> None:
        ill = Heard(ord_1=[Impossible("no")])
        member = await bus.consume("ill", ["order"], ill, QUICK)
        await bus.publish([order_event(7)])
        await eventually(lambda: dead(bus, "ill", 1))
        await member.aclose()
        (letter,) = await bus.log.dead_letters("ill")

        await bus.log.replay_dead_letter("ill", letter.entry)
        with pytest.raises(DeadLetterNotFound):
            await bus.log.replay_dead_letter("ill", letter.entry)

        again = Heard()
        await bus.consume("ill", ["order"], again, QUICK)  # what was given back while nobody was there waits
        await bus.publish([order_event(8)])
        await eventually(lambda: len(again.events) == 2)
        assert sorted(again.numbers) == [7, 8]

    async def test_a_dropped_dead_letter_is_gone(self, bus: EventBus) -> None:
        await _seven_dead(bus)
        letters = await bus.log.dead_letters("counting")

        await bus.log.drop_dead_letter("counting", letters[3].entry)

        assert await bus.log.dead_letters("counting") == letters[:3] + letters[4:]


async def _seven_dead(bus: EventBus) -> None:
    """Of two tenants, in turn."""

    async def refuses(_: object) -> None:
        raise Impossible("no")

    await bus.consume("counting", ["order"], refuses, QUICK)
    for number in range(7):
        await bus.publish([order_event(number, tenant=("public", "acme")[number % 2])])
        await eventually(lambda: dead(bus, "counting", number + 1))  # noqa: B023 - awaited within its turn
