"""One connection for everybody: what is asked in one turn of the event loop is one write, and the answers are one read.

Owns the order of answers and the bound on waiting for them. What nobody wants any more when it is to be written is not
sent; later its answer is dropped. When the connection is lost, or the oldest question is `timeout` seconds old,
everybody is told at once and the next question opens another. Refuses to know commands and the client library.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, cast

_LAST_LOOK: Final = 0.001  # seconds: a turn of the loop, in which uvloop reads; its timers come before its reads


class Parser(Protocol):
    """hiredis' reader: bytes in, replies out, errors as values; `gets` answers False until a reply is whole."""

    def feed(self, data: bytes) -> None: ...

    def gets(self) -> Any: ...


class Wire(Protocol):
    """How to reach Redis."""

    @property
    def greeting(self) -> Sequence[bytes]:
        """Commands that come first on every connection; their answers are nobody's."""
        ...

    async def connect(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Raises OSError, also ssl.SSLError, which is one."""
        ...

    def parser(self) -> Parser: ...


class LinkLost(Exception):
    """No answer will come. Whether Redis has done what was asked is not known. Its cause says why."""


class Question(Protocol):
    """One command, and whoever waits for its reply."""

    def packed(self) -> bytes:
        """The command, when it is written; empty where nobody waits any more."""
        ...

    def answer(self, reply: Any) -> None:
        """An error of Redis' comes as a value. May raise, which ends the connection, and this is told `fail`."""
        ...

    def fail(self, error: LinkLost) -> None: ...


class _Command:
    """A question of one caller."""

    __slots__ = ("_command", "future")

    def __init__(self, command: bytes, future: asyncio.Future[Any]) -> None:
        self._command = command
        self.future = future

    def packed(self) -> bytes:
        return b"" if self.future.done() else self._command

    def answer(self, reply: Any) -> None:
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: LinkLost) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Turn:
    """What was asked in one turn, and when that is too old."""

    __slots__ = ("answered", "expires", "questions")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.questions: list[Question] = []
        self.answered = 0


class Pipeline:
    """See the module. For the event loop that asks first."""

    def __init__(self, wire: Wire, timeout: float, on_lost: Callable[[Exception], None]) -> None:
        self._wire: Final = wire
        self._timeout: Final = timeout
        self._on_lost: Final = on_lost
        self._link: _Link | None = None

    def ask(self, command: bytes) -> Awaitable[Any]:
        """The reply, an error of Redis' as a value. Raises LinkLost."""
        question = _Command(command, asyncio.get_running_loop().create_future())
        self.put(question)
        return question.future

    def put(self, question: Question) -> None:
        """It is written at the end of this turn, and answered or failed."""
        if self._link is None:
            self._link = _Link(self._wire, self._timeout, self._lost)
        self._link.put(question)

    def write(self) -> None:
        """What was asked in this turn is written now, if there is a connection: Redis begins while the turn goes on."""
        if self._link is not None:
            self._link.write()

    async def aclose(self) -> None:
        """Whoever waits is told LinkLost."""
        if self._link is not None:
            await self._link.aclose()

    def _lost(self, error: Exception, told: bool) -> None:
        """A connection that ends while nobody waits (an idle time-out of Redis' or a proxy's) is no outage: the next
        question opens another, and finds out."""
        self._link = None
        if told:
            self._on_lost(error)


class _Link(asyncio.Protocol):
    """One connection, from its first question to its loss."""

    def __init__(self, wire: Wire, timeout: float, on_lost: Callable[[Exception, bool], None]) -> None:
        self._timeout: Final = timeout
        self._on_lost: Final = on_lost
        self._loop: Final = asyncio.get_running_loop()
        self._parser: Final = wire.parser()
        self._gathering: _Turn | None = None
        self._waiting: deque[_Turn] = deque()
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        self._opening: Final = self._loop.create_task(self._open(wire), name="ratelimit-connect")

    def put(self, question: Question) -> None:
        turn = self._gathering
        if turn is None:
            turn = self._gathering = _Turn(self._loop.time() + self._timeout)
            if self._timer is None:
                self._timer = self._loop.call_at(turn.expires, self._check_age)
            if self._transport is not None:
                self._loop.call_soon(self._flush)
        turn.questions.append(question)

    def write(self) -> None:
        if self._transport is not None:
            self._flush()

    def fail(self, error: Exception, *, told: bool = True) -> None:
        """Once: later ones change nothing. `told`: it is an outage's beginning."""
        if self._lost:
            return
        self._lost = True
        self._opening.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._on_lost(error, told)
        for turn in (*self._waiting, *filter(None, (self._gathering,))):
            for question in turn.questions[turn.answered :]:
                lost = LinkLost("Redis does not answer")
                lost.__cause__ = error
                question.fail(lost)

    async def aclose(self) -> None:
        self.fail(ConnectionError("closed"))
        await asyncio.wait({self._opening})
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn

    async def _open(self, wire: Wire) -> None:
        try:
            transport = await wire.connect(self)
        except OSError as error:
            return self.fail(error)
        self._transport = transport
        greeting = _Turn(cast("_Turn", self._gathering).expires)  # connecting has taken of the first callers' time
        for command in wire.greeting:
            future = self._loop.create_future()
            future.add_done_callback(asyncio.Future.exception)  # nobody awaits it, and nobody is to be warned
            greeting.questions.append(_Command(command, future))
        self._send(greeting)
        self._flush()

    def _flush(self) -> None:
        turn, self._gathering = self._gathering, None
        if turn is not None and not self._lost:
            turn.expires = self._loop.time() + self._timeout  # until now it was our own loop that was late
            self._send(turn)

    def _send(self, turn: _Turn) -> None:
        commands = [(command, question) for question in turn.questions if (command := question.packed())]
        if commands:
            turn.questions = [question for _, question in commands]
            self._waiting.append(turn)
            cast("asyncio.Transport", self._transport).write(b"".join(command for command, _ in commands))

    def _oldest(self) -> _Turn | None:
        return self._waiting[0] if self._waiting else self._gathering

    def _check_age(self) -> None:
        self._timer = None
        oldest = self._oldest()
        if oldest is None:
            return
        if oldest.expires <= self._loop.time():  # the answer may have come while our loop was busy: it is read first
            self._timer = self._loop.call_later(_LAST_LOOK, self._give_up, oldest)
        else:
            self._timer = self._loop.call_at(oldest.expires, self._check_age)

    def _give_up(self, turn: _Turn) -> None:
        if self._oldest() is turn:
            self.fail(TimeoutError(f"no answer within {self._timeout} s"))
        else:
            self._check_age()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
            while (reply := self._parser.gets()) is not False:
                self._settle(reply)
        except Exception as error:  # noqa: BLE001 - what cannot be read ends the connection: nobody knows whose it is
            self.fail(error)

    def _settle(self, reply: Any) -> None:
        turn = self._waiting[0]
        turn.questions[turn.answered].answer(reply)
        turn.answered += 1
        if turn.answered == len(turn.questions):
            self._waiting.popleft()

    def connection_lost(self, exc: Exception | None) -> None:
        asked = bool(self._waiting or self._gathering)
        self.fail(exc or ConnectionError("Redis closed the connection"), told=asked)
