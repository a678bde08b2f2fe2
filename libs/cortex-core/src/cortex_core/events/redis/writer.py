"""The writer: whatever is published while Redis is at work on the last writes travels together, on one connection.

One caller alone waits for nobody. Under load a command carries the publications of many, at most `AT_ONCE` events or
`BYTES_AT_ONCE`, and up to `IN_FLIGHT` commands are under way at once. Owns that each caller gets the outcome of its own
events after Redis has said so; that publications reach Redis in the order of the calls, the portions of a large one
each after the one before has succeeded; and that nobody waits longer than the time-out.

Lost is lost: when the connection breaks, callers without a reply are told BusUnavailable, and may have been written;
those not sent yet go over the next connection. Refuses to know events (bus.py) and sockets (pipe.py).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from cortex_core.events.errors import BusUnavailable
from cortex_core.events.redis.calls import AT_ONCE, BYTES_AT_ONCE, Call, Messages, Sent
from cortex_core.events.redis.commands import LOAD, Mark
from cortex_core.events.redis.link import unusable
from cortex_core.events.redis.pipe import Dialer, Pipe

IN_FLIGHT: Final = 4  # commands: one in Redis, the others on their way to it and back
EARLY: Final = 16  # publications that wait, at which an idle Redis is given them within the turn of the loop
QUEUED: Final = 16 << 20  # bytes that wait to be sent; beyond, callers wait before they are let in
LAST_LOOK: Final = 0.001  # seconds: replies that came while our own loop was busy are read first


class Writer:
    """See the module. Opens its connection when it is first needed. For one event loop."""

    def __init__(self, dialer: Dialer, *, max_length: int, on_cut: Callable[[str, int], None]) -> None:
        """`on_cut` hears of a stream, and of how many entries at most, that were cut off before they were handled."""
        self._dialer: Final = dialer
        self._timeout: Final = dialer.timeout
        self._max_length: Final = max_length
        self._on_cut: Final = on_cut
        self._queue: Final[deque[Call]] = deque()
        self._queued = 0  # bytes
        self._entrance: Final[deque[asyncio.Future[None]]] = deque()
        self._again: Final[deque[Call]] = deque()  # what Redis did not do for want of the script, in order
        self._unfinished: Call | None = None  # a portion of it is under way, and another is to come
        self._pipe: Pipe | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._greetings = 0  # that Redis has not answered: until then it may not be the user, or the database, we mean
        self._taught = False  # the script was sent, and no reply has shown yet that it arrived
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def is_full(self) -> bool:
        """Whether who comes now has to `enter` first."""
        return self._queued >= QUEUED or bool(self._entrance)

    async def enter(self) -> None:
        """Waits while too much is queued, in the order of coming. Raises BusUnavailable when that takes too long."""
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._entrance.append(place)
        try:
            async with asyncio.timeout(self._timeout):
                await place
        except TimeoutError:
            raise _never("the bus has too much to write") from None
        finally:
            loop.call_soon(self._let_in)  # the next one, after what this one adds is counted; it may add nothing

    async def write(self, messages: Messages, mark: Mark | None = None) -> None:
        """Returns when Redis has all of them. Raises BusUnavailable; `attempted` is False where nothing was sent."""
        if not messages and mark is None:
            return
        if self._closed:
            raise _never("the bus is closed", retryable=False)
        loop = asyncio.get_running_loop()
        call = Call(messages, mark, loop.time() + self._timeout)
        self._queue.append(call)
        self._queued += call.weight
        if self._timer is None:
            self._timer = loop.call_at(call.expires, self._check_age)
        if self._pipe is None:
            self._dial(loop)
        elif len(self._queue) >= EARLY and not len(self._pipe):
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)
        await call.future

    async def aclose(self) -> None:
        """Whoever waits is told BusUnavailable."""
        self._closed = True
        closed = ConnectionError("closed")
        if self._dialing is not None:
            self._dialing.cancel()
            await asyncio.wait({self._dialing})
        if self._pipe is not None:
            self._pipe.lose(closed)
        self._refuse_all(closed)
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn

    def _dial(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._dialing is None and not self._closed:
            self._dialing = loop.create_task(self._connect(), name="publish-connect")

    async def _connect(self) -> None:
        pipe = Pipe(self._dialer.parser(), self._answered, self._lost)
        try:
            async with asyncio.timeout(self._timeout):
                transport = await self._dialer.dial(pipe)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a host that is no host's name
            return self._refuse_all(error)
        finally:
            self._dialing = None
        pipe.use(transport)
        self._pipe, self._taught, self._greetings = pipe, True, len(self._dialer.greeting)
        for command in (*self._dialer.greeting, LOAD):
            pipe.send(command, None)
        self._flush()

    def _flush(self) -> None:
        """Sends what may be sent now."""
        self._scheduled = False
        while self._queue and (pipe := self._free()) is not None and (sent := self._gathered()).calls:
            pipe.send(sent.publication.command(self._max_length), sent)
        if self._entrance:
            self._let_in()

    def _let_in(self) -> None:
        """One: what it adds is counted before another is."""
        while self._entrance and self._queued < QUEUED:
            place = self._entrance.popleft()
            if not place.done():
                return place.set_result(None)

    def _free(self) -> Pipe | None:
        """The connection, where another command may be sent."""
        pipe = self._pipe
        held = pipe is None or len(pipe) >= IN_FLIGHT or self._unfinished is not None or self._again or self._greetings
        return None if held else pipe

    def _gathered(self) -> Sent:
        """The next command: at most the bounds, or one portion; what nobody waits for any more is left out."""
        sent = Sent()
        publication = sent.publication
        while self._queue:
            call = self._queue[0]
            if not call.future.done():
                count = call.reach - call.done
                if sent.calls and (
                    publication.events + count > AT_ONCE or publication.size + call.size > BYTES_AT_ONCE
                ):
                    break
                last = call.is_last()
                portion = call.messages if last and not call.done else call.messages[call.done : call.reach]
                publication.add(portion, call.mark, size=call.size, last=last)
                sent.calls.append(call)
                if not last:
                    self._unfinished = call
            self._queue.popleft()
            self._queued -= call.weight
            if self._unfinished is not None:
                break
        return sent

    def _answered(self, sent: Sent | None, reply: Any) -> None:
        if self._greetings:
            self._greetings -= 1
            if isinstance(reply, Exception):
                return self._turned_away(str(reply))
        elif isinstance(reply, Exception):
            self._refused(sent, str(reply))
        elif sent is not None:
            self._taught = False
            failed, cut = reply
            reasons = {number: text.decode(errors="replace") for number, text in failed}
            for number, call in enumerate(sent.calls, 1):
                self._settle(call, reasons.get(number))
            for key, entries in cut:
                self._on_cut(sent.publication.key(key), entries)
            for text in reasons.values():
                self._leave_if_unusable(text)
        if self._again and self._pipe is not None and not len(self._pipe):
            self._teach(self._pipe)
        self._flush()

    def _turned_away(self, text: str) -> None:
        """Nothing was sent, and nothing will be."""
        while self._queue:
            call = self._queue.popleft()
            self._queued -= call.weight
            call.refuse(text)
        if self._pipe is not None:
            self._pipe.lose(ConnectionError("turned away"))

    def _settle(self, call: Call, reason: str | None) -> None:
        """`reason` is why Redis has not done it."""
        if call is self._unfinished:
            self._unfinished = None
        call.done = call.reach
        if reason is not None:
            call.refuse(reason)
        elif call.future.done():
            pass
        elif call.done == len(call.messages):
            call.future.set_result(None)
        else:
            call.measure()
            call.expires = asyncio.get_running_loop().time() + self._timeout
            self._put_back(call)

    def _refused(self, sent: Sent | None, text: str) -> None:
        """The whole command was. What wants the script gets it, once."""
        if sent is not None and text.startswith("NOSCRIPT") and not self._taught:
            self._again.extend(sent.calls)
            return
        for call in sent.calls if sent is not None else ():
            self._settle(call, text)
        self._leave_if_unusable(text)

    def _teach(self, pipe: Pipe) -> None:
        """What could not be done is done again, in the same order and before anything else."""
        self._taught, self._unfinished = True, None
        pipe.send(LOAD, None)
        while self._again:
            self._put_back(self._again.pop())

    def _put_back(self, call: Call) -> None:
        self._queue.appendleft(call)
        self._queued += call.weight

    def _leave_if_unusable(self, text: str) -> None:
        """A server that is no master any more, or not yet: the name may lead to another by now."""
        if self._pipe is not None and unusable(text):
            self._pipe.lose(ConnectionError(text.partition(" ")[0]))

    def _lost(self, pipe: Pipe, error: Exception, unanswered: list[Sent | None]) -> None:
        if pipe is self._pipe:
            self._pipe, self._greetings = None, 0
        calls = [call for sent in unanswered if sent is not None for call in sent.calls]
        for call in (*calls, *self._again):
            call.fail(_silent(error))
        self._again.clear()
        self._unfinished = None
        if self._queue:
            self._dial(asyncio.get_running_loop())

    def _refuse_all(self, error: Exception) -> None:
        """There is no connection: what was not sent will not be."""
        for call in self._queue:
            call.fail(_silent(error, attempted=call.done > 0))
        self._queue.clear()
        self._queued = 0
        self._let_in()

    def _check_age(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        moments = [call.expires for call in (self._under_way(), *islice(self._queue, 1)) if call is not None]
        if not moments:
            return
        if min(moments) <= loop.time():
            self._timer = loop.call_later(LAST_LOOK, self._give_up, loop.time())
        else:
            self._timer = loop.call_at(min(moments), self._check_age)

    def _under_way(self) -> Call | None:
        """The oldest publication that waits for its reply."""
        sent: Sent | None = None if self._pipe is None else self._pipe.oldest()
        return None if sent is None else sent.calls[0]

    def _give_up(self, now: float) -> None:
        """On the connection, where the oldest command is too old; on what is queued, where that is."""
        late = TimeoutError(f"no answer within {self._timeout} s")
        while self._queue and self._queue[0].expires <= now:
            call = self._queue.popleft()
            self._queued -= call.weight
            call.fail(_silent(late, attempted=call.done > 0))
        oldest = self._under_way()
        if self._pipe is not None and (self._greetings or (oldest is not None and oldest.expires <= now)):
            self._pipe.lose(late)
        self._check_age()


def _silent(error: Exception, *, attempted: bool = True) -> BusUnavailable:
    """The message reaches health reports: it names the trouble's class, and no address."""
    silent = BusUnavailable(f"the bus does not answer: {type(error).__name__}", attempted=attempted)
    silent.__cause__ = error
    return silent


def _never(message: str, *, retryable: bool | None = None) -> BusUnavailable:
    return BusUnavailable(message, attempted=False, retryable=retryable)
