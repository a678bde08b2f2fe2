"""Identifiers sort by birth, never repeat, and are RFC 9562's."""

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from cortex_core.kernel.ids import new_id, uuid7


def test_an_id_is_its_prefix_and_32_hexadecimal_digits() -> None:
    assert re.fullmatch(r"ord_[0-9a-f]{32}", new_id("ord"))


def test_a_uuid7_says_its_version_its_variant_and_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= after + 1


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = [new_id("evt") for _ in range(20_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_go_on_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    an_hour_ago = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: an_hour_ago)

    assert uuid7().int > first.int


def test_threads_do_not_share_an_id() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [each for batch in pool.map(lambda _: [uuid7() for _ in range(2_000)], range(8)) for each in batch]

    assert len(set(made)) == len(made)
