"""What images cost, how the budget is shared, and where it comes from."""

import asyncio
from pathlib import Path

import pytest

from cortex_compute.adapters.machine import memory_limit
from cortex_compute.adapters.memory import MemoryBudget
from cortex_compute.domain import KEPT, MIB, Bounds, Header, ImageFormat, ImageNeedsTooMuch, work_of
from cortex_compute.settings import Settings
from cortex_compute.wiring import bounds_of

SQUARE = 1000


@pytest.mark.parametrize(
    ("header", "length", "bytes_a_pixel"),
    [
        (Header(ImageFormat.PNG, SQUARE, SQUARE), 0, 16),
        (Header(ImageFormat.JPEG, SQUARE, SQUARE), 0, 16),
        (Header(ImageFormat.WEBP, SQUARE, SQUARE), 0, 56),
        (Header(ImageFormat.PNG, SQUARE, SQUARE), 4_000_000, 20),
        (Header(ImageFormat.PNG, 1, SQUARE * SQUARE), 0, 48),
        (Header(ImageFormat.PNG, SQUARE * SQUARE, 1), 0, 48),
    ],
)
def test_work_costs_by_pixel_format_shape_and_file(header: Header, length: int, bytes_a_pixel: int) -> None:
    beside = work_of(header, length) - 16 * MIB

    assert beside == pytest.approx(bytes_a_pixel * SQUARE * SQUARE, rel=0.01)


@pytest.mark.parametrize(
    ("budget", "body_limit", "places", "files"),
    [
        (1000, 32, 6, 192),  # every place has its file
        (832, 32, 6, 166),  # a fifth, at most
        (150, 32, 17, 32),  # one file, at least
        (1000, 32, 1, 32),
    ],
)
def test_a_part_of_the_budget_is_for_files(budget: int, body_limit: int, places: int, files: int) -> None:
    bounds = Bounds.within(budget * MIB, body_limit=body_limit * MIB, places=places)

    assert (bounds.files // MIB, (bounds.budget - bounds.work) // MIB) == (files, files)


@pytest.mark.parametrize("budget", [-5, 0, 95])
def test_a_budget_in_which_nothing_fits_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match=r"too little for bodies of 32 MiB: raise COMPUTE_MEMORY_BUDGET"):
        Bounds.within(budget * MIB, body_limit=32 * MIB, places=3)


@pytest.mark.parametrize("format", list(ImageFormat))
def test_the_largest_image_is_taken_and_one_larger_is_not(format: ImageFormat) -> None:  # noqa: A002
    bounds = Bounds.within(832 * MIB, body_limit=32 * MIB, places=6)
    side = round(bounds.largest(format, 32 * MIB) ** 0.5)

    assert bounds.refuse_above(Header(format, side, side), 32 * MIB) <= bounds.work
    with pytest.raises(ImageNeedsTooMuch) as caught:
        bounds.refuse_above(Header(format, side + 1, side + 1), 32 * MIB)
    assert caught.value.details["needed"] > caught.value.details["available"] == bounds.work


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1073741824\n"}, 1 << 30),
        ({"memory/memory.limit_in_bytes": "536870912\n"}, 1 << 29),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_the_limit_is_the_cgroups_or_half_of_the_machine(
    tmp_path: Path, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert memory_limit(tmp_path) == (limit or memory_limit(tmp_path / "nowhere"))


def test_the_budget_is_what_the_limit_leaves_each_process() -> None:
    assert bounds_of(Settings(env="test"), 1024 * MIB).budget == 1024 * MIB - KEPT
    assert bounds_of(Settings(env="test", server_workers=2), 1024 * MIB).budget == 512 * MIB - KEPT
    assert bounds_of(Settings(env="test", memory_budget=300), 1024 * MIB).budget == 300 * MIB


async def test_who_leaves_in_the_turn_in_which_there_is_room_takes_none_of_it() -> None:
    budget = MemoryBudget(Bounds(budget=100, files=20))
    first, leaving, last = (budget.room() for _ in range(3))
    await first.take_work(80)
    waiting = [asyncio.create_task(each.take_work(70)) for each in (leaving, last)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    first.release()
    await asyncio.wait_for(waiting[1], 5)

    leaving.release()
    assert (waiting[0].cancelled(), last.work, budget.reserved) == (True, 70, 70)
