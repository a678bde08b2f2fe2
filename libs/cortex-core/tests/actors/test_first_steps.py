"""A message whose `receive` waits is begun before its actor's task runs, and nothing within it can tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorSystem
from cortex_core.kernel import current, use_context

from .cast import Heard, asked, future, turns


async def test_a_message_that_does_not_wait_costs_no_turn_of_the_loop(ref: Any) -> None:
    turned: list[str] = []
    asyncio.get_running_loop().call_soon(turned.append, "turned")

    async def answers(_: Actor) -> str:
        return "answered"

    assert await ref.ask(answers) == "answered"
    assert turned == []


async def test_its_task_is_the_actors_and_the_askers_is_its_own_again(ref: Any) -> None:
    async def my_tasks(_: Actor) -> list[Any]:
        first = asyncio.current_task()
        await asyncio.sleep(0)
        return [first, asyncio.current_task()]

    first, last = await ref.ask(my_tasks)

    assert first is last
    assert first.get_name() == "actor orders/doer"
    assert asyncio.current_task() is not first


async def test_a_context_within_lasts_over_the_first_wait(ref: Any) -> None:
    async def nested(_: Actor) -> list[str]:
        seen = [current().tenant]
        with use_context(tenant="inner"):
            await asyncio.sleep(0)
            seen.append(current().tenant)
            await asyncio.sleep(0)
            seen.append(current().tenant)
        return [*seen, current().tenant]

    with use_context(tenant="outer"):
        assert await ref.ask(nested) == ["outer", "inner", "inner", "outer"]
        told = future()

        async def tells(actor: Actor) -> None:
            told.set_result(await nested(actor))

        ref.tell(tells)
        assert await told == ["outer", "inner", "inner", "outer"]
    assert await ref.ask(nested) == ["public", "inner", "inner", "public"]


async def test_an_asynchronous_generator_and_a_context_manager_work_across_it(ref: Any) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        yield 1
        await asyncio.sleep(0)

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async def uses(_: Actor) -> list[int]:
        async with opened() as one:
            return [one, *[number async for number in numbers()]]

    assert await ref.ask(uses) == [1, 0, 1, 2]


async def test_an_error_after_several_waits_reaches_the_asker(ref: Any, heard: Heard) -> None:
    async def fails(_: Actor) -> None:
        for _turn in range(3):
            await asyncio.sleep(0)
        raise LookupError("in the end")

    with pytest.raises(LookupError, match="in the end"):
        await ref.ask(fails)

    assert len(heard.failures) == 1


async def test_what_is_waited_for_may_fail_and_be_caught(ref: Any) -> None:
    failing = future()

    async def catches(_: Actor) -> str:
        try:
            await failing
        except LookupError as error:
            await asyncio.sleep(0)
            return f"caught {error}"
        return "never"

    answer = asked(ref, catches)
    await turns()
    failing.set_exception(LookupError("it"))

    assert await answer == "caught it"


async def test_a_bare_yield_of_an_awaitable_of_ones_own_works(ref: Any) -> None:
    class Custom:
        def __await__(self) -> Iterator[None]:
            yield
            yield
            return "awaited"

    assert await ref.ask(lambda _: Custom()) == "awaited"
    assert await ref.ask(lambda _: asyncio.sleep(0, "a future's")) == "a future's"
    done = future()
    done.set_result("done already")
    assert await ref.ask(lambda _: done) == "done already"


async def test_asks_within_asks_do_not_exhaust_the_stack(system: ActorSystem) -> None:
    class Asks(Actor):
        async def receive(self, message: Any) -> Any:
            return 1 + await message[0].ask(message[1:]) if message else 1

    refs = [system.spawn(Asks) for _ in range(500)]
    await turns()

    assert await refs[0].ask(refs[1:]) == 500
    assert await refs[1].ask(refs[2:12]) == 11


async def test_an_ask_within_an_ask_steps_within_a_step(system: ActorSystem) -> None:
    tasks: list[Any] = []

    class Asks(Actor):
        async def receive(self, message: Any) -> Any:
            tasks.append(asyncio.current_task())
            answer = await message[0].ask(message[1:]) if message else "answered"
            tasks.append(asyncio.current_task())
            return answer

    refs = [system.spawn(Asks) for _ in range(3)]
    await turns()

    assert await refs[0].ask(refs[1:]) == "answered"

    assert tasks == [*tasks[:3], *reversed(tasks[:3])]
    assert len(set(tasks)) == 3
    assert asyncio.current_task() not in tasks
