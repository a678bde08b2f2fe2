"""Ask: a message whose sender waits for what `receive` returns, so long and no longer.

Owns the wait: bounded by its own seconds and by the context's deadline, whichever ends first; and the proof that an
answer can come at all: an actor that waits for itself, over however many others, is found by following who asks whom.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from cortex_core.actors.address import ActorRef, Address
from cortex_core.actors.bounds import seconds
from cortex_core.actors.errors import AskSelf, AskTimeout
from cortex_core.actors.mailbox import Envelope
from cortex_core.actors.stage import running
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell


def left(timeout: float, clock: Clock, address: Address) -> float:
    """How long an ask of now may wait. Raises ValueError; AskTimeout where the deadline has passed: before the asked
    is looked for, so that nobody is activated for it."""
    seconds("timeout", timeout)
    deadline = current().deadline
    if deadline is not None:
        timeout = min(timeout, deadline - clock.monotonic())
        if timeout <= 0:
            raise AskTimeout(f"the deadline had passed before {address} was asked", attempted=False)
    return timeout


async def ask(cell: "Cell", message: Any, timeout: float, sender: ActorRef | None) -> Any:
    """See ActorRef.ask. `timeout` is what `left` says."""
    asker = running.get()
    if asker is None or asker.task is not asyncio.current_task():
        return await _answer(cell, message, timeout, sender)
    _check_circle(asker, cell)
    asker.asking = cell
    try:
        return await _answer(cell, message, timeout, sender)
    finally:
        asker.asking = None


async def _answer(cell: "Cell", message: Any, timeout: float, sender: ActorRef | None) -> Any:
    reply = cell.stage.loop.create_future()
    envelope = Envelope(message, current(), sender, reply)
    cell.mailbox.check_ask()
    if not cell.turns.at_once(envelope):
        cell.mailbox.put(envelope)
    if reply.done():
        return reply.result()
    alarm = cell.stage.clock.call_later(timeout, partial(_expire, cell, envelope, timeout))
    try:
        return await reply
    finally:
        alarm.cancel()
        if envelope.aside or not envelope.begun:
            cell.mailbox.give_up()


def _expire(cell: "Cell", envelope: Envelope, timeout: float) -> None:
    where = "" if envelope.begun else "; its turn had not come"
    envelope.fail(
        AskTimeout(f"no answer from {cell.ref.address} within {timeout:.3f} s{where}", attempted=envelope.begun)
    )


def _check_circle(asker: "Cell", asked: "Cell") -> None:
    """Raises AskSelf where `asked` waits for `asker`, itself or through others."""
    cell: Cell | None = asked
    while cell is not None:
        if cell is asker:
            raise AskSelf(f"{asker.ref.address} asks {asked.ref.address}, which waits for it: no answer could come")
        cell = cell.asking
