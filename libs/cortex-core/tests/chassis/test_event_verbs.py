"""The bus by hand, from a service's own process. `run_events` begins a loop of its own: these tests are not async."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cortex_core.chassis import Config
from cortex_core.chassis.event_verbs import run_events
from cortex_core.events import CloudEvent, ConsumerPolicy
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually, free_port

Verbs = Callable[..., int]
Out = pytest.CaptureFixture[str]


@pytest.fixture
def verbs(redis_url: str) -> Verbs:
    """`python -m cortex_service.main events …`, on the test's Redis."""
    settings = Config(env="test", redis_url=redis_url)  # type: ignore[arg-type]
    return lambda *words: run_events(settings, words)


def on_the_bus(redis_url: str, work: Callable[[RedisEventBus], Awaitable[Any]]) -> Any:
    async def opened() -> Any:
        bus = RedisEventBus(redis_url)
        try:
            return await work(bus)
        finally:
            await bus.aclose()

    return asyncio.run(opened())


def die(redis_url: str, *subjects: str) -> None:
    """Makes events of `order` dead letters of `analytics`."""

    async def work(bus: RedisEventBus) -> None:
        async def handle(event: CloudEvent) -> None:
            raise ValueError(f"cannot take {event.subject}")

        async def dead() -> bool:
            return len(await bus.log.dead_letters("analytics")) == len(subjects)

        await bus.publish([CloudEvent("order.created", "/cortex/order", subject, {}) for subject in subjects])
        subscription = await bus.consume("analytics", ["order"], handle, ConsumerPolicy(attempts=1))
        await eventually(dead)
        await subscription.aclose()

    on_the_bus(redis_url, work)


def lines(capsys: Out) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_groups_say_what_waits_for_them(verbs: Verbs, redis_url: str, capsys: Out) -> None:
    die(redis_url, "ord_1")

    assert verbs("groups") == 0

    [group] = lines(capsys)
    assert (group["group"], group["tenant"], group["deadLetters"]) == ("analytics", "public", 1)
    assert (group["topics"][0]["topic"], group["topics"][0]["waiting"]) == ("order", 0)


def test_a_dead_letter_is_listed_with_its_error_and_its_event(verbs: Verbs, redis_url: str, capsys: Out) -> None:
    die(redis_url, "ord_1", "ord_\x1b[2J")

    assert verbs("dead-letters", "list", "analytics") == 0

    said = capsys.readouterr().out
    first, second = map(json.loads, said.splitlines())
    assert "cannot take ord_1" in first["reason"]
    assert (first["event"]["subject"], second["event"]["subject"]) == ("ord_1", "ord_\x1b[2J")
    assert "\x1b" not in said, "what others wrote steers no terminal"

    assert verbs("dead-letters", "list", "analytics", "--after", first["entry"]) == 0
    assert [each["entry"] for each in lines(capsys)] == [second["entry"]]


def test_one_is_replayed_and_the_others_wait(verbs: Verbs, redis_url: str, capsys: Out) -> None:
    die(redis_url, "ord_1", "ord_2")
    verbs("dead-letters", "list", "analytics")
    first, second = lines(capsys)

    assert verbs("dead-letters", "replay", "analytics", first["entry"]) == 0

    assert capsys.readouterr().out == "1 on the way to analytics again\n"
    verbs("dead-letters", "list", "analytics")
    assert [each["entry"] for each in lines(capsys)] == [second["entry"]]
    verbs("groups", "analytics")
    assert lines(capsys)[0]["topics"][0]["waiting"] == 1


def test_all_are_replayed_but_those_whose_event_is_gone(
    verbs: Verbs, redis_url: str, redis_server: RedisServer, capsys: Out
) -> None:
    die(redis_url, "ord_1", "ord_2")
    redis_server.command("XADD", "cortex:public:dead:analytics", "*", "event", "", "code", "event.trimmed")

    assert verbs("dead-letters", "replay", "analytics", "--all") == 0

    assert capsys.readouterr().out == (
        "2 on the way to analytics again\n1 left: of those the log has no event any more\n"
    )


def test_what_is_dropped_is_gone(verbs: Verbs, redis_url: str, capsys: Out) -> None:
    die(redis_url, "ord_1", "ord_2", "ord_3")
    verbs("dead-letters", "list", "analytics")
    entry = lines(capsys)[0]["entry"]

    assert verbs("dead-letters", "drop", "analytics", entry) == 0
    assert verbs("dead-letters", "drop", "analytics", "--all") == 0

    assert capsys.readouterr().out == "1 of analytics deleted\n2 of analytics deleted\n"
    assert verbs("dead-letters", "list", "analytics") == 0
    assert lines(capsys) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "'events' is no command; this service knows `events groups [GROUP]`"),
        (("dead-letters", "drop", "analytics"), "'events dead-letters drop analytics' is no command"),
        (("groups", "nobody"), "no group is called nobody"),
        (("dead-letters", "list", "nobody"), "no group is called nobody"),
        (("dead-letters", "drop", "nobody", "--all"), "no group is called nobody"),
        (("dead-letters", "replay", "analytics", "public/1-1"), "(dead-letter.not-found)"),
        (("dead-letters", "replay", "analytics", "first"), "(event-log.malformed-place)"),
        (("groups", "a b"), "(event.malformed)"),
    ],
)
def test_what_there_is_not_is_said_in_a_line(verbs: Verbs, words: tuple[str, ...], said: str, capsys: Out) -> None:
    assert verbs(*words) == 64

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("service: ")
    assert said in told.err
    assert told.err.count("\n") == 1


def test_a_bus_that_is_away_is_unavailable(capsys: Out) -> None:
    nowhere = Config(env="test", redis_url=f"redis://127.0.0.1:{free_port()}/0")  # type: ignore[arg-type]

    assert run_events(nowhere, ["groups"]) == 69

    assert "(bus.unavailable)" in capsys.readouterr().err
