"""`cortex events dead-letters` on a real Redis: looked at, delivered again to one group alone, dropped."""

import asyncio
import json

from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually

from .bus_scenes import DEAD, Cortex, die, event, member


async def test_a_dead_letter_is_listed_and_shown(bus: RedisEventBus, cortex: Cortex) -> None:
    [entry] = await die(bus, event(7))

    listed = await asyncio.to_thread(cortex, "dead-letters", "list", "analytics")
    shown = await asyncio.to_thread(cortex, "dead-letters", "show", "analytics", entry)

    assert entry in listed.stdout
    assert "order.created ord_7" in listed.stdout
    assert '"id": "evt_7"' in shown.stdout
    assert "cannot be taken" in shown.stdout


async def test_pages_follow_each_other(bus: RedisEventBus, cortex: Cortex) -> None:
    entries = await die(bus, *(event(number) for number in range(3)))

    first = await asyncio.to_thread(cortex, "dead-letters", "list", "analytics", "--limit", "2")
    second = await asyncio.to_thread(cortex, "dead-letters", "list", "analytics", "--after", entries[1], "--json")

    assert f"--after {entries[1]}" in first.stdout
    assert [json.loads(line)["entry"] for line in second.stdout.splitlines()] == entries[2:]


async def test_a_replayed_dead_letter_comes_to_its_group_alone(bus: RedisEventBus, cortex: Cortex) -> None:
    [entry] = await die(bus, event(1))
    async with member(bus, "notification") as others:
        await eventually(lambda: others == ["evt_1"])
        async with member(bus, "analytics") as heard:
            replayed = await asyncio.to_thread(cortex, "dead-letters", "replay", "analytics", entry)
            await eventually(lambda: heard == ["evt_1"])

        assert others == ["evt_1"]
    assert replayed.stdout == "1 dead letter on the way to analytics again\n"
    assert await bus.log.dead_letters("analytics") == []


async def test_all_dead_letters_are_replayed_once_each(bus: RedisEventBus, cortex: Cortex) -> None:
    await die(bus, *(event(number) for number in range(5)))

    replayed = await asyncio.to_thread(cortex, "dead-letters", "replay", "analytics", "--all", "--yes")

    assert replayed.stdout == "5 dead letters on the way to analytics again\n"
    async with member(bus, "analytics") as heard:
        await eventually(lambda: sorted(heard) == [f"evt_{number}" for number in range(5)])


async def test_clocks_that_differ_keep_no_dead_letter_back(
    bus: RedisEventBus, redis_server: RedisServer, cortex: Cortex
) -> None:
    """Each member writes its own time; what counts is the place."""
    await die(bus, *(event(number) for number in range(3)))
    for number, time_told in enumerate(("12:00:00.002Z", "12:00:00.001Z", "12:00:00.001Z")):
        [(_, fields)] = redis_server.command("XRANGE", DEAD, "-", "+", "COUNT", "1")
        fields[fields.index("time") + 1] = f"2026-11-25T{time_told}"
        redis_server.command("XADD", f"{DEAD}.new", f"{number + 1}-0", *fields)
        redis_server.command("XTRIM", DEAD, "MAXLEN", str(2 - number))
    redis_server.command("RENAME", f"{DEAD}.new", DEAD)

    dropped = await asyncio.to_thread(cortex, "dead-letters", "drop", "analytics", "--all", "--yes")

    assert dropped.stdout == "3 dead letters of analytics deleted\n"
    assert await bus.log.dead_letters("analytics") == []


async def test_dropping_asks_first(bus: RedisEventBus, cortex: Cortex) -> None:
    [entry] = await die(bus, event(1))

    unasked = await asyncio.to_thread(cortex, "dead-letters", "drop", "analytics", entry)
    refused = await asyncio.to_thread(cortex, "dead-letters", "drop", "analytics", entry, stdin="n\n")
    assert (unasked.returncode, refused.returncode) == (1, 1)
    assert len(await bus.log.dead_letters("analytics")) == 1

    agreed = await asyncio.to_thread(cortex, "dead-letters", "drop", "analytics", entry, stdin="y\n")
    assert agreed.returncode == 0
    assert await bus.log.dead_letters("analytics") == []
