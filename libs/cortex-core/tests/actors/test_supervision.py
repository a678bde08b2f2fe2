"""An actor that fails is resumed, restarted, or stopped."""

import random
from typing import Any

import pytest

from cortex_core.actors import (
    ActorOptions,
    ActorSystem,
    Directive,
    StopReason,
    Supervision,
)
from cortex_core.testing import FakeClock

from .cast import Heard, Lives, Recorder, supervised, turns


async def test_a_failed_actor_is_replaced_by_a_fresh_one_and_the_mailbox_stays(
    system: ActorSystem, heard: Heard
) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised())

    for message in ("one", "boom", "two", "three"):
        ref.tell(message)
    await turns()

    assert diary == ["born", "started", "one", ("restarting", "boom"), "born", "started", "two", "three"]
    assert [(each.directive, each.restarts) for each in heard.failures] == [(Directive.RESTART, 1)]


async def test_a_failed_actor_may_go_on_as_it_is(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised(Directive.RESUME))

    for _ in range(10):
        ref.tell("boom")
    ref.tell("two")
    await turns()

    assert diary == ["born", "started", "two"]
    assert {each.directive for each in heard.failures} == {Directive.RESUME}
    assert len(heard.failures) == 10


async def test_a_failed_actor_may_be_stopped(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised(Directive.STOP))
    end = system.watch(ref)

    ref.tell("boom")
    ref.tell("too late")

    notice = await end
    assert (notice.ref, notice.reason, str(notice.error)) == (ref, StopReason.FAILED, "boom")
    assert diary == ["born", "started", "stopped"]
    assert [each.message for each in heard.dead_letters] == ["too late"]


async def test_after_the_last_restart_within_the_window_it_is_stopped(
    system: ActorSystem, clock: FakeClock, heard: Heard
) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised(max_restarts=2, within=60.0))
    end = system.watch(ref)

    for _ in range(3):
        assert not end.done()
        ref.tell("boom")
        await clock.advance(29)

    assert (await end).reason is StopReason.FAILED
    assert diary.count("born") == 3
    assert [each.directive for each in heard.failures] == [Directive.RESTART, Directive.RESTART, Directive.STOP]


async def test_restarts_older_than_the_window_do_not_count(system: ActorSystem, clock: FakeClock) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised(max_restarts=2, within=60.0))

    for _ in range(20):
        ref.tell("boom")
        await clock.advance(30)

    assert await ref.ask("alive") == "alive"
    assert diary.count("born") == 21


async def test_no_restart_at_all_may_be_allowed(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, options=supervised(max_restarts=0))

    ref.tell("boom")

    assert (await system.watch(ref)).reason is StopReason.FAILED


async def test_messages_wait_longer_before_each_restart(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    seen: list[Any] = []
    options = ActorOptions(supervision=Supervision(max_restarts=5, backoff=1.0, max_backoff=3.0))
    ref = system.spawn(lambda: Recorder(seen), options=options)

    for delay in (1.0, 2.0, 3.0, 3.0):
        seen.clear()
        ref.tell("boom")
        ref.tell("waits")
        await clock.advance(delay - 0.01)
        assert seen == []
        await clock.advance(0.01)
        assert seen == ["waits"]

    assert [each.delay for each in heard.failures] == [1.0, 2.0, 3.0, 3.0]


async def test_those_who_failed_together_do_not_come_back_together(clock: FakeClock, heard: Heard) -> None:
    system = ActorSystem("orders", clock=clock, hooks=heard.hooks(), rng=random.Random(7))
    for _ in range(50):
        system.spawn(Recorder, options=supervised(backoff=1.0)).tell("boom")
    await turns()

    delays = [each.delay for each in heard.failures]

    assert len(set(delays)) == 50
    assert 0.5 <= min(delays) < 0.6
    assert 0.9 < max(delays) <= 1.0


async def test_an_actor_that_waits_for_its_restart_can_be_stopped(system: ActorSystem, clock: FakeClock) -> None:
    diary: list[Any] = []
    ref = system.spawn(lambda: Lives(diary), options=supervised(backoff=10.0))
    ref.tell("boom")
    await turns()

    await system.stop(ref)

    assert clock.monotonic() == 0.0
    assert clock.sleepers == 0
    assert diary == ["born", "started", ("restarting", "boom")]


async def test_who_cannot_decide_has_the_actor_stopped(system: ActorSystem, caplog: pytest.LogCaptureFixture) -> None:
    def cannot(_: Exception) -> Directive:
        raise ValueError("no idea")

    for decide in (cannot, lambda _: "shrug"):
        ref = system.spawn(Recorder, options=supervised(decide=decide))
        ref.tell("boom")
        assert (await system.watch(ref)).reason is StopReason.FAILED

    assert caplog.text.count("could not decide") == 2


async def test_the_siblings_of_a_failed_actor_notice_nothing(system: ActorSystem) -> None:
    diary: list[Any] = []
    one, other = system.spawn(Recorder, options=supervised()), system.spawn(lambda: Lives(diary))
    other.tell("before")
    one.tell("boom")
    await turns()

    other.tell("after")
    await turns()

    assert diary == ["born", "started", "before", "after"]


async def test_a_failure_nobody_listens_to_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    system = ActorSystem("orders", clock=FakeClock())
    system.spawn(Recorder, "loud").tell("boom")

    await turns()

    assert "actor orders/loud failed: restart" in caplog.text
    assert "LookupError: boom" in caplog.text
    await system.drain(within=0)
