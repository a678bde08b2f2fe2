"""Committing: what becomes of the appends of one group, of which none may suffer for another.

A group is tried *together*: one look, one insert a table, then each `also`, one commit. If something in it raises, that
transaction is undone and the group is gone through *apart*, still in one transaction, each append within a savepoint:
whoever raises again is undone alone. If one of them breaks even that transaction, they are committed *alone*, one by
one. So an `also` may be called up to three times; what its earlier calls wrote was undone. One that does not come to
its end in time is cancelled, and not called again.

Trouble of the database itself (disk full, connection lost) is everybody's: EventStoreUnavailable, one each. A lock that
another process holds for too long is the trouble of those who need it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import DuplicateId, EventStoreUnavailable, StaleVersion
from cortex_core.eventsourcing.sql.appending import Also, Append
from cortex_core.eventsourcing.sql.faults import sqlstate, translated
from cortex_core.eventsourcing.sql.turns import Turns
from cortex_core.eventsourcing.sql.writing import Taken, look, write

Outcome = BaseException | None
"""What the append's caller gets to hear; None: it is durable."""

_GIVEN_UP: Final = frozenset({"40001", "40P01"})  # serialization, deadlock
_LOCKED: Final = "55P03"  # another process held a lock for too long

_HURRY: Final = text("SET LOCAL lock_timeout = '20ms'")


class _AlsoRaised(Exception):
    """An `also` raised: `error` is for its caller."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _TransactionLost(Exception):
    """A savepoint could not be rolled back: nothing of its transaction is left."""


class _TransactionEnded(Exception):
    """An `also` has committed or rolled back what was not its own. Nobody can say what became of the others."""

    def __init__(self, culprit: Append) -> None:
        self.culprit = culprit


class Committer:
    """`transaction` begins one and commits it at the block's end; it raises EventStoreUnavailable for trouble."""

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        turns: Turns,
        on_messages: Callable[[AsyncConnection], None],
        on_events: Callable[[AsyncConnection], None],
        also_within: float,
    ) -> None:
        """`on_messages` hears of each transaction that adds messages to the outbox, `on_events` of each with events.
        `also_within` (seconds) bounds an `also`."""
        self._transaction = transaction
        self._turns = turns
        self._on_messages = on_messages
        self._on_events = on_events
        self._also_within = also_within

    async def commit(self, group: Sequence[Append]) -> list[Outcome]:
        """What became of each, in order. Raises nothing but CancelledError, when its own task is cancelled."""
        hurried = False
        for attempt in (self._together, self._apart):
            try:
                return await attempt(group, hurried)
            except _AlsoRaised as raised:
                if len(group) == 1 and not _contended(raised.error):
                    return [_translated(raised.error)]
                hurried = _locked_out(raised.error)
            except Taken:
                pass  # the next attempt says whose it is
            except Exception as error:  # noqa: BLE001 - it is told to those it concerns
                hurried = _locked_out(error)
                everybodys = isinstance(error, EventStoreUnavailable | _TransactionEnded)
                if everybodys and not hurried and not _contended(error):
                    return [_for(append, error) for append in group]
                if len(group) == 1 and (attempt == self._apart or not _contended(error)):
                    return [_for(group[0], error)]
        return await self._alone(group)

    async def _together(self, group: Sequence[Append], _hurried: bool = False) -> list[Outcome]:
        """Raises _AlsoRaised, Taken, _TransactionEnded, EventStoreUnavailable, and what the database says."""
        outcomes: Sequence[Outcome] = ()
        begun = False
        try:
            async with self._transaction() as connection:
                begun = True
                outcomes = await write(connection, group)
                for append, outcome in zip(group, outcomes, strict=True):
                    if outcome is None:
                        await self._finish(connection, append)
        except EventStoreUnavailable as error:
            error.attempted = begun
            raise
        return list(outcomes)

    async def _apart(self, group: Sequence[Append], hurried: bool = False) -> list[Outcome]:
        """`hurried`: the group has waited for a lock for as long as anybody may. Whoever meets it now is told at once,
        and the others go on."""
        async with self._transaction() as connection:
            if hurried:
                await connection.execute(_HURRY)
            return [await self._within_savepoint(connection, append) for append in group]

    async def _alone(self, group: Sequence[Append]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for append in group:
            outcomes += await self.commit([append])
            last = outcomes[-1]
            if isinstance(last, EventStoreUnavailable) and not last.attempted:  # no transaction can be begun at all
                return outcomes + [_for(each, last) for each in group[len(outcomes) :]]
        return outcomes

    async def _within_savepoint(self, connection: AsyncConnection, append: Append) -> Outcome:
        savepoint = await connection.begin_nested()
        try:
            [refused] = await write(connection, [append])
            if refused is None:
                await self._finish(connection, append)
            await savepoint.commit()
        except _TransactionEnded:
            raise
        except Exception as error:  # noqa: BLE001 - undone, and told to its caller
            try:
                await savepoint.rollback()
            except Exception as lost:
                raise _translated(error, _TransactionLost()) from lost
            if isinstance(error, Taken):
                return await _meaning(connection, append, error)
            raised = _translated(error.error if isinstance(error, _AlsoRaised) else error)
            if isinstance(raised, EventStoreUnavailable) and _contended(raised):
                raise raised from raised.__cause__  # the locks of those before it are in the way: alone it has none
            return raised
        return refused

    async def _finish(self, connection: AsyncConnection, append: Append) -> None:
        """What comes after its rows. Its `also` has a task of its own, for it runs in its caller's context.

        Raises _AlsoRaised, _TransactionEnded.
        """
        if append.events:
            self._on_events(connection)
        if append.messages:
            self._on_messages(connection)
        if append.also is None:
            return
        if append.late:  # not again: it would keep everybody waiting for as long
            raise _AlsoRaised(_late())
        task = asyncio.get_running_loop().create_task(_run(append.also, connection), context=append.context)
        with self._turns.inside(task):
            try:
                _, running = await asyncio.wait([task], timeout=self._also_within)
            except asyncio.CancelledError:
                await _ended(task)
                raise
            if running:
                append.late = True
                await _ended(task)
        if not connection.in_transaction():
            raise _TransactionEnded(append)
        if append.late:
            raise _AlsoRaised(_late())
        if task.cancelled():
            raise _AlsoRaised(asyncio.CancelledError())
        if error := task.exception():
            raise _AlsoRaised(error)


async def _meaning(connection: AsyncConnection, append: Append, taken: Taken) -> StaleVersion | DuplicateId:
    """What `taken` says to the one append that hit it, once that is undone."""
    stream = append.key[1]
    if taken.race:
        view = await look(connection, [append])
        return StaleVersion(stream, append.expected, view.versions.get(append.key, 0))
    return DuplicateId(f"{taken.what} is there already", stream=stream)


async def _ended(task: "asyncio.Task[None]") -> None:
    """It must have let go of the connection before anybody else is given that."""
    task.cancel()
    await asyncio.wait([task])


def _late() -> EventStoreUnavailable:
    return EventStoreUnavailable("`also` did not come to its end in time: it was cancelled, and its append undone")


async def _run(also: Also, connection: AsyncConnection) -> None:
    await also(connection)


def _translated(error: BaseException, otherwise: Exception | None = None) -> BaseException:
    """EventStoreUnavailable where `error` means that, else `otherwise`, else `error` itself."""
    try:
        with translated():
            raise error  # noqa: TRY301 - `translated` judges what passes through it
    except EventStoreUnavailable as unavailable:
        return unavailable
    except BaseException as same:  # noqa: BLE001 - `error`, as it came
        return otherwise or same


def _contended(error: BaseException) -> bool:
    """Whether another process's transaction was in the way, so that this one was given up for certain. Apart or alone,
    with fewer locks held at a time, it may well pass."""
    cause = error.__cause__ if isinstance(error, EventStoreUnavailable) else error
    return isinstance(cause, DBAPIError) and sqlstate(cause.orig) in _GIVEN_UP


def _locked_out(error: BaseException) -> bool:
    """Whether a lock of another process was not let go in time: the affair of those who need it, and of no others."""
    cause = error.__cause__ if isinstance(error, EventStoreUnavailable) else error
    return isinstance(cause, DBAPIError) and sqlstate(cause.orig) == _LOCKED


def _for(append: Append, error: Exception) -> Outcome:
    """`error` as one caller gets it. Each has his own: an exception that is raised in several places at once collects
    the tracebacks of all of them."""
    if isinstance(error, _TransactionEnded):
        if append is error.culprit:
            return RuntimeError("`also` has ended the transaction, which is not its own")
        return EventStoreUnavailable("another's `also` has ended the transaction: read to learn what became of yours")
    if isinstance(error, EventStoreUnavailable):
        own = EventStoreUnavailable(error.message, retryable=error.retryable, attempted=error.attempted)
        own.__cause__ = error.__cause__
        return own
    return error
