"""`cortex events` on a real Redis: following, lag, dead letters, a second delivery to one group alone."""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import eventually

from .bus_scenes import ENVIRONMENT, Cortex, die, event, member


async def test_tail_shows_what_is_there_and_ends_after_count(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([event(1), event(2)])

    shown = await asyncio.to_thread(cortex, "tail", "order", "--from", "0", "--count", "2")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[3:5] for line in shown.stdout.splitlines()] == [
        ["order.created", "ord_1"],
        ["order.created", "ord_2"],
    ]


async def test_tail_as_json_carries_the_whole_event(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([event(1)])

    shown = await asyncio.to_thread(cortex, "tail", "--from", "0", "-n", "1", "--json")

    told = json.loads(shown.stdout)
    assert (told["topic"], told["tenant"], told["event"]["id"]) == ("order", "public", "evt_1")


async def test_what_an_event_says_cannot_steer_the_terminal(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([CloudEvent("order.created", "/x", "ord_\x1b[2J", {"a": "\x1b]0;title\x07"})])

    shown = await asyncio.to_thread(cortex, "tail", "order", "--from", "0", "-n", "1")

    assert "\x1b" not in shown.stdout
    assert "\x07" not in shown.stdout


async def test_tail_follows_what_comes_until_it_is_interrupted(
    bus: RedisEventBus, redis_url: str, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cortex_cli.main", "events", "tail", "order"),
        env=ENVIRONMENT | {"HOME": str(tmp_path), "CORTEX_REDIS_URL": redis_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    publishing = asyncio.create_task(_publish_until_cancelled(bus))
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60.0)
    finally:
        publishing.cancel()
    process.send_signal(signal.SIGINT)
    _, complaint = await asyncio.wait_for(process.communicate(), 60.0)

    assert b"order.created" in line
    assert (process.returncode, complaint) == (0, b"")


async def _publish_until_cancelled(bus: RedisEventBus) -> None:
    number = 0
    while True:
        number += 1
        await bus.publish([event(number)])
        await asyncio.sleep(0.05)


async def test_groups_tell_what_waits_and_what_died(bus: RedisEventBus, cortex: Cortex) -> None:
    await die(bus, event(1))
    await bus.publish([event(2), event(3)])

    table = await asyncio.to_thread(cortex, "groups")
    told = json.loads((await asyncio.to_thread(cortex, "groups", "analytics", "--json")).stdout)

    assert (told["group"], told["deadLetters"]) == ("analytics", 1)
    assert [(topic["topic"], topic["waiting"]) for topic in told["topics"]] == [("order", 2)]
    assert "analytics" in table.stdout
    assert "dead letters" in table.stdout.splitlines()[0]


async def test_an_unknown_group_is_one_line(cortex: Cortex) -> None:
    refused = await asyncio.to_thread(cortex, "groups", "nobody")

    assert refused.returncode == 1
    assert refused.stderr == "cortex: no group is called nobody; `cortex events groups` names those there are\n"


async def test_a_topic_is_replayed_to_one_group(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([event(number) for number in range(3)])
    async with member(bus, "analytics") as heard, member(bus, "notification") as others:
        await eventually(lambda: len(heard) == len(others) == 3)
        replayed = await asyncio.to_thread(cortex, "replay", "order", "analytics", "--yes")
        await eventually(lambda: len(heard) == 6)

        assert heard[3:] == heard[:3]
        assert len(others) == 3
    assert replayed.stdout == "3 events of order on the way to analytics again\n"


async def test_a_group_that_lives_is_not_forgotten(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([event(1)])
    async with member(bus, "analytics") as heard:
        await eventually(lambda: heard == ["evt_1"])
        refused = await asyncio.to_thread(cortex, "forget", "analytics", "order", "--yes")

    forgotten = await asyncio.to_thread(cortex, "forget", "analytics", "order", "--yes")

    assert (refused.returncode, refused.stderr) == (
        1,
        "cortex: analytics has 1 member on order: end them first, or pass --force\n",
    )
    assert forgotten.stdout == "analytics has no claim on order any more\n"
    assert await bus.log.lag("analytics") == []


async def test_tail_says_that_a_topic_has_no_events_yet(bus: RedisEventBus, cortex: Cortex) -> None:
    await bus.publish([event(1)])

    shown = await asyncio.to_thread(cortex, "tail", "order", "ordre", "--from", "0", "-n", "1")

    assert shown.stderr == "nothing was published of ordre yet; waiting\n"
    assert "ord_1" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("dead-letters", "list", "nobody"), "no group is called nobody"),
        (("forget", "nobody", "order", "--yes"), "no group is called nobody"),
        (("tail", "order", "--from", "yesterday"), "no entry's id"),
        (("tail", "order", "--from", "2026-13-40T00:00:00Z"), "no time like"),
        (("dead-letters", "show", "analytics", "1-1"), "no dead letter's place"),
        (("dead-letters", "show", "analytics", "public/1-1"), "dead-letter.not-found"),
        (("dead-letters", "replay", "analytics"), "name one dead letter"),
        (("dead-letters", "replay", "analytics", "public/1-1", "--all"), "name one dead letter"),
        (("replay", "order", "nobody", "--yes"), "event-log.no-such-group"),
        (("replay", "order", "analytics"), "nobody to ask here"),
        (("tail", "or der", "--from", "0", "-n", "1"), "topic"),
        (("groups", "--tenant", "A B"), "a tenant is"),
    ],
)
async def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], complaint: str, cortex: Cortex) -> None:
    refused = await asyncio.to_thread(cortex, *arguments)

    assert refused.returncode != 0
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr


async def test_a_bus_that_is_away_is_one_line_without_its_password(cortex: Cortex) -> None:
    began = time.monotonic()
    refused = await asyncio.to_thread(cortex, "groups", CORTEX_REDIS_URL="redis://:s3cret@127.0.0.1:1/0")

    assert refused.returncode == 1
    assert "the bus does not answer" in refused.stderr
    assert "s3cret" not in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert time.monotonic() - began < 30


async def test_without_a_bus_it_says_where_to_get_one(cortex: Cortex, tmp_path: Path) -> None:
    refused = await asyncio.to_thread(cortex, "groups", CORTEX_REDIS_URL="", CORTEX_STATE=str(tmp_path / "none"))

    assert refused.returncode == 3
    assert "start one with `cortex up`, or set CORTEX_REDIS_URL" in refused.stderr
