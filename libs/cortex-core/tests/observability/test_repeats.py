"""Repeats: what is met every second is said once, when it changes, and each minute."""

from cortex_core.observability import Repeats
from cortex_core.testing import FakeClock


async def test_the_same_is_said_once_and_again_each_minute() -> None:
    clock = FakeClock()
    repeats = Repeats(clock)

    said = []
    for _ in range(150):
        said.append(repeats.worth_saying("gone"))
        await clock.advance(seconds=1)

    assert [second for second, was in enumerate(said) if was] == [0, 60, 120]


async def test_what_changes_is_said_and_what_comes_in_turn_is_two_stories() -> None:
    repeats = Repeats(FakeClock())

    assert [repeats.worth_saying(text) for text in ("gone", "silent", "gone", "silent")] == [True, True, False, False]


async def test_what_is_over_is_news_when_it_comes_again() -> None:
    repeats = Repeats(FakeClock())
    repeats.worth_saying("gone")

    repeats.over()

    assert repeats.worth_saying("gone")


async def test_it_remembers_only_so_many() -> None:
    repeats = Repeats(FakeClock())
    for number in range(65):
        repeats.worth_saying(str(number))

    assert repeats.worth_saying("0")
    assert not repeats.worth_saying("64")
