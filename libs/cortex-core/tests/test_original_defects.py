"""The thirteen defects of the TypeScript original: one class a row, named for what ours promises.

Each class runs the same probe twice: over a naive reading of the plan's own code, which must break the promise, so that
the probe is known to notice, and over ours, which must keep it. Rows come with the blocks they are about.
"""

import asyncio
import gc
import gzip
import random
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import brotli
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cortex_core.actors import (
    Actor,
    ActorHooks,
    ActorOptions,
    ActorSystem,
    Directive,
    Failure,
    StopReason,
    Supervision,
    Terminated,
    Undelivered,
)
from cortex_core.asgi import CSPBuilder
from cortex_core.asgi.compression import Compression, installed_codecs
from cortex_core.events import CloudEvent, DeliveryDetails, LoggingHooks, MemoryEventBus, Outcome
from cortex_core.observability import Span, Tracer
from cortex_core.ratelimit import RateLimiter
from cortex_core.resilience import (
    Bulkhead,
    BulkheadFull,
    BulkheadTimeout,
    CircuitBreaker,
    CircuitOpenError,
    RetryExecutor,
)
from cortex_core.testing import FakeClock, eventually


class WrittenDownClock(FakeClock):
    """Sleeping takes no time and is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.pause(seconds)


class NaiveCircuitBreaker:
    """The original's: the plan's `failure_threshold` is no option it knows, and half-open lets whoever comes pass."""

    def __init__(self, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.threshold = options.get("threshold", 50)
        self.reset_timeout = options.get("reset_timeout", 60.0)
        self.failures, self.opened = 0, None

    async def execute(self, call: Callable[[], Awaitable[str]]) -> str:
        if self.opened is not None and self.clock.monotonic() - self.opened < self.reset_timeout:
            raise ConnectionError("circuit is open")
        try:
            result = await call()
        except Exception:
            self.failures += 1
            if self.failures >= self.threshold:
                self.opened = self.clock.monotonic()
            raise
        self.failures, self.opened = 0, None
        return result


class TestRow1BreakerBuiltAsThePlanDoes:
    """`failure_threshold=3, reset_timeout=5 s`: 3 of 10 calls reach the failing backend, 7 fail at once."""

    @staticmethod
    async def ten_payments(breaker: Any) -> tuple[int, list[Exception]]:
        """How many of ten calls reached a backend that fails, and what came out of each."""
        reached, errors = 0, []

        async def pay() -> str:
            nonlocal reached
            reached += 1
            raise TimeoutError("Payment gateway timeout")

        for _ in range(10):
            with pytest.raises(Exception) as raised:
                await breaker.execute(pay)
            errors.append(raised.value)
        return reached, errors

    async def test_the_naive_one_lets_all_ten_reach_it(self) -> None:
        reached, _ = await self.ten_payments(NaiveCircuitBreaker(FakeClock(), failure_threshold=3, reset_timeout=5.0))

        assert reached == 10

    async def test_ours_lets_three_reach_it_and_tells_the_rest_when_to_come_back(self) -> None:
        breaker = CircuitBreaker(failure_threshold=3, reset_timeout=5.0, clock=FakeClock())

        reached, errors = await self.ten_payments(breaker)

        assert reached == 3
        assert [type(error) for error in errors] == [TimeoutError] * 3 + [CircuitOpenError] * 7
        assert {error.retry_after for error in errors[3:] if isinstance(error, CircuitOpenError)} == {5.0}


class TestRow2HalfOpenProbing:
    """50 come at once when time is up: exactly the agreed number passes; a cancelled probe gives its place back."""

    @staticmethod
    async def fifty_at_once(breaker: Any, clock: FakeClock) -> tuple[int, int]:
        """How many of 50 were inside together; and once those are cancelled, how many of 50 more."""
        inside, fails = 0, True

        async def call() -> str:
            nonlocal inside
            if fails:
                raise TimeoutError("down")
            inside += 1
            return await asyncio.get_running_loop().create_future()

        for _ in range(3):
            await asyncio.gather(breaker.execute(call), return_exceptions=True)
        await clock.advance(5.0)
        fails, counts = False, []
        for _ in range(2):
            inside = 0
            callers = [asyncio.create_task(breaker.execute(call)) for _ in range(50)]
            await clock.advance(0.0)
            counts.append(inside)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
        return counts[0], counts[1]

    async def test_the_naive_one_lets_all_fifty_through(self) -> None:
        clock = FakeClock()  # told in its own word, so that it opens at all: row 1 is of the plan's

        assert await self.fifty_at_once(NaiveCircuitBreaker(clock, threshold=3, reset_timeout=5.0), clock) == (50, 50)

    @pytest.mark.parametrize("probes", [1, 4])
    async def test_ours_lets_exactly_its_probes_through(self, probes: int) -> None:
        clock = FakeClock()
        breaker = CircuitBreaker(failure_threshold=3, reset_timeout=5.0, probes=probes, clock=clock)

        assert await self.fifty_at_once(breaker, clock) == (probes, probes)


class TestRow3RetryBuiltAsThePlanDoes:
    """`RetryExecutor(max_attempts=3, base_delay=1 s)`: 3 attempts, exponential back-off with jitter."""

    class NaiveRetryExecutor:
        """The original's wants a back-off strategy; the plan hands it bare numbers, and nobody notices at first."""

        def __init__(self, **options: Any) -> None:
            self.max_attempts = options.get("attempts")
            self.strategy: Any = options.get("strategy")

        async def execute(self, call: Callable[[], Awaitable[str]]) -> str:
            attempt = 0
            while True:
                try:
                    return await call()
                except TimeoutError:
                    attempt += 1
                    await asyncio.sleep(self.strategy.delay(attempt))  # `strategy` is nobody

    @staticmethod
    async def attempts(executor: Any) -> tuple[int, Exception]:
        """How often a payment that always times out was tried, and what came out in the end."""
        made = 0

        async def pay() -> str:
            nonlocal made
            made += 1
            raise TimeoutError("Payment gateway timeout")

        with pytest.raises(Exception) as raised:
            await executor.execute(pay)
        return made, raised.value

    async def test_the_naive_one_tries_once_and_breaks(self) -> None:
        made, error = await self.attempts(self.NaiveRetryExecutor(max_attempts=3, base_delay=1.0))

        assert made == 1
        assert isinstance(error, AttributeError | TypeError)

    async def test_ours_makes_three_attempts_with_growing_jittered_waits(self) -> None:
        waits: list[list[float]] = []
        for seed in range(200):
            clock = WrittenDownClock()
            retry = RetryExecutor(max_attempts=3, base_delay=1.0, clock=clock, rng=random.Random(seed))

            made, error = await self.attempts(retry)

            assert made == 3
            assert isinstance(error, TimeoutError)
            waits.append(clock.sleeps)

        first, second = ([wait[position] for wait in waits] for position in (0, 1))
        assert 0.9 < max(first) <= 1.0  # up to base_delay …
        assert 1.8 < max(second) <= 2.0  # … and up to twice that
        assert len(set(first)) == len(first)  # nobody comes back together


class TestRow12EachDirectiveOnce:
    """Each directive is written once, and the plan's `default_src()` exists."""

    class NaiveCSPBuilder:
        """The original's: it begins with defaults and appends whatever it is told; its only method is a general one."""

        def __init__(self) -> None:
            self.directives = [("default-src", "'self'")]

        def add(self, name: str, *sources: str) -> Any:
            self.directives.append((name, " ".join(sources)))
            return self

        def build(self) -> str:
            return "; ".join(f"{name} {sources}" for name, sources in self.directives)

    @staticmethod
    def repeated(policy: str) -> list[str]:
        """Directives that are there more than once: a browser takes the first and ignores the others."""
        names = [directive.split()[0] for directive in policy.split("; ")]
        return sorted({name for name in names if names.count(name) > 1})

    def test_the_naive_one_writes_two_and_lacks_the_plans_method(self) -> None:
        policy = self.NaiveCSPBuilder().add("default-src", "'none'").add("script-src", "'self'").build()

        assert self.repeated(policy) == ["default-src"]
        assert not hasattr(self.NaiveCSPBuilder(), "default_src")

    def test_ours_writes_each_once_in_one_order(self) -> None:
        builder = CSPBuilder().script_src("'self'").default_src("'self'").img_src("data:").default_src("'self'")

        policy = str(builder.script_src("https://cdn.example").build())

        assert self.repeated(policy) == []
        assert policy.startswith(
            "default-src 'self'; script-src 'nonce-…' 'strict-dynamic' 'self' https://cdn.example; "
        )


class NaiveBulkhead:
    """The original's: one counter for those inside, decremented at every end, a refusal's included; a queue that is
    looked at every 100 ms, and whose time is only looked at then."""

    def __init__(self, max_concurrent: int, max_queue: int, queue_timeout: float, clock: FakeClock) -> None:
        self.max_concurrent, self.max_queue, self.queue_timeout = max_concurrent, max_queue, queue_timeout
        self.clock = clock
        self.active = self.queued = 0

    async def execute(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            if self.active >= self.max_concurrent:
                await self.wait()
            self.active += 1
            await call()
        finally:
            self.active -= 1

    async def wait(self) -> None:
        if self.queued >= self.max_queue:
            raise BulkheadFull("full")
        self.queued += 1
        began = self.clock.monotonic()
        try:
            while self.active >= self.max_concurrent:
                await self.clock.sleep(0.1)
                if self.clock.monotonic() - began > self.queue_timeout:
                    raise BulkheadTimeout("waited")
        finally:
            self.queued -= 1


class TestRow4BulkheadOfOne:
    """`Bulkhead(max_concurrent=1)`: never more than 1, after any mix of rejections, cancellations, errors."""

    @staticmethod
    async def most_at_once(bulkhead: Any, clock: FakeClock) -> int:
        """The most calls that were inside together, while 100 come, of which some fail and some are cancelled."""
        inside = most = 0

        async def call(fails: bool) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            try:
                await clock.sleep(0.05)
                if fails:
                    raise LookupError
            finally:
                inside -= 1

        tasks = []
        for number in range(100):
            tasks.append(asyncio.create_task(bulkhead.execute(lambda fails=number % 3 == 0: call(fails))))
            await clock.advance(0.01)
            if number % 7 == 0:
                tasks[-1].cancel()
        await clock.advance(10)
        await asyncio.gather(*tasks, return_exceptions=True)
        return most

    async def test_the_naive_one_lets_in_several(self) -> None:
        clock = FakeClock()

        assert await self.most_at_once(NaiveBulkhead(1, 2, 0.5, clock), clock) >= 5

    async def test_ours_lets_in_one(self) -> None:
        clock = FakeClock()
        bulkhead = Bulkhead(max_concurrent=1, max_queue=2, queue_timeout=0.5, clock=clock)

        assert await self.most_at_once(bulkhead, clock) == 1
        assert (bulkhead.permits, bulkhead.waiting) == (1, 0)


class TestRow5BulkheadQueueTimeout:
    """`Bulkhead(queue_timeout=20 ms)`: refused within 20 ms and the loop's next turn."""

    @staticmethod
    async def waited(bulkhead: Any, clock: FakeClock) -> float:
        """Seconds until a caller is refused, while the only place is taken."""
        holder = asyncio.create_task(bulkhead.execute(lambda: clock.sleep(10)))
        await clock.advance(0)
        began = clock.monotonic()

        async def refused_after() -> float:
            with pytest.raises(BulkheadTimeout):
                await bulkhead.execute(lambda: clock.sleep(0))
            return clock.monotonic() - began

        caller = asyncio.create_task(refused_after())
        await clock.advance(1)
        holder.cancel()
        return await caller

    async def test_the_naive_one_notices_late(self) -> None:
        clock = FakeClock()

        assert await self.waited(NaiveBulkhead(1, 1, 0.02, clock), clock) >= 0.1

    async def test_ours_refuses_on_time(self) -> None:
        clock = FakeClock()

        assert await self.waited(Bulkhead(1, max_queue=1, queue_timeout=0.02, clock=clock), clock) == 0.02


class NaiveActorSystem:
    """The original's: a message is received where it comes, an actor's restarts are counted in the actor itself, and
    `receive` is called within a try that only sees what it raises at once."""

    MAX_RESTARTS = 3

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.escaped: list[BaseException] = []
        self.watchers: list[Callable[[], None]] = []
        self.start()

    def start(self) -> None:
        self.actor = self.make()
        self.actor.restarts = 0  # a fresh actor, a fresh count: it never reaches the most
        self.stopped = False

    def tell(self, message: Any) -> None:
        if self.stopped:
            return
        try:
            result = self.actor.receive(message)
        except LookupError:
            if self.actor.restarts >= self.MAX_RESTARTS:
                self.stopped = True
            else:
                self.actor.restarts += 1
                self.start()
            return
        if asyncio.iscoroutine(result):
            task = asyncio.ensure_future(result)
            task.add_done_callback(lambda done: self.escaped.append(done.exception()) if done.exception() else None)


class TestRow6ActorRestarts:
    """`MAX_RESTARTS=3`: stopped after the third restart within the window; its watchers are told."""

    class Crashing(Actor):
        def receive(self, message: Any) -> None:
            raise LookupError(message)

    @classmethod
    async def twenty_crashes(cls, spawn: Callable[[Callable[[], Actor]], Any]) -> int:
        """How many actors there were in the course of twenty messages that each crash one."""
        starts = 0

        def make() -> Actor:
            nonlocal starts
            starts += 1
            return cls.Crashing()

        tell = spawn(make)
        for number in range(20):
            tell(number)
            for _ in range(5):
                await asyncio.sleep(0)
        return starts

    async def test_the_naive_one_starts_21_actors(self) -> None:
        assert await self.twenty_crashes(lambda make: NaiveActorSystem(make).tell) == 21

    async def test_ours_is_stopped_after_the_third_restart_and_its_watchers_are_told(self) -> None:
        system = ActorSystem("orders", clock=FakeClock(), hooks=ActorHooks(on_failure=lambda _: None))
        supervision = Supervision(max_restarts=3, within=60.0, backoff=0.0)
        ends: list[asyncio.Future[Terminated]] = []

        def spawn(make: Callable[[], Actor]) -> Any:
            ref = system.spawn(make, options=ActorOptions(supervision=supervision))
            ends.append(system.watch(ref))
            return ref.tell

        assert await self.twenty_crashes(spawn) == 4  # one start and three restarts

        notice = await ends[0]
        assert (notice.reason, repr(notice.error)) == (StopReason.FAILED, "LookupError(3)")
        assert system.dead_letters == {Undelivered.STOPPED: 16}

    async def test_ours_counts_restarts_within_the_window_only(self) -> None:
        clock = FakeClock()
        system = ActorSystem("orders", clock=clock, hooks=ActorHooks(on_failure=lambda _: None))
        ref = system.spawn(
            self.Crashing, options=ActorOptions(supervision=Supervision(max_restarts=3, within=60.0, backoff=0.0))
        )
        end = system.watch(ref)

        for _ in range(20):
            ref.tell("boom")
            await clock.advance(20)

        assert not end.done()
        await system.drain(within=0)


class TestRow7AsyncReceive:
    """One message at a time to its end; an exception goes to the supervisor."""

    class Slow(Actor):
        def __init__(self, course: list[str]) -> None:
            self.course = course

        async def receive(self, message: str) -> None:
            self.course.append(f"{message} begins")
            await asyncio.sleep(0)
            if message == "boom":
                raise LookupError(message)
            self.course.append(f"{message} ends")

    @classmethod
    async def course(cls, spawn: Callable[[Callable[[], Actor]], Any], *messages: str) -> list[str]:
        """What happens, in its order, when the messages come together."""
        course: list[str] = []
        tell = spawn(lambda: cls.Slow(course))
        for message in messages:
            tell(message)
        for _ in range(25):
            await asyncio.sleep(0)
        return course

    async def test_the_naive_one_interleaves_them_and_lets_the_error_escape(self) -> None:
        systems: list[NaiveActorSystem] = []

        def spawn(make: Callable[[], Actor]) -> Any:
            systems.append(NaiveActorSystem(make))
            return systems[0].tell

        assert (await self.course(spawn, "one", "boom", "two"))[:3] == ["one begins", "boom begins", "two begins"]
        assert [repr(error) for error in systems[0].escaped] == ["LookupError('boom')"]

    async def test_ours_ends_each_before_the_next_and_the_supervisor_gets_the_error(self) -> None:
        failures: list[Failure] = []
        system = ActorSystem("orders", clock=FakeClock(), hooks=ActorHooks(on_failure=failures.append))
        options = ActorOptions(supervision=Supervision(backoff=0.0))

        course = await self.course(lambda make: system.spawn(make, options=options).tell, "one", "boom", "two")

        assert course == ["one begins", "one ends", "boom begins", "two begins", "two ends"]
        assert [(repr(each.error), each.directive) for each in failures] == [("LookupError('boom')", Directive.RESTART)]
        await system.drain(within=0)


class TestRow8ErrorTopic:
    """A subscriber that throws, on the error topic as on any other: told once, counted, and nobody is called again."""

    class NaiveEventBus:
        """The original's: what a subscriber throws is published on the error topic, to subscribers that may throw."""

        def __init__(self) -> None:
            self.calls = 0
            self.subscribers: dict[str, list[Callable[[object], None]]] = {}

        def subscribe(self, topic: str, subscriber: Callable[[object], None]) -> None:
            self.subscribers.setdefault(topic, []).append(subscriber)

        def publish(self, topic: str, event: object) -> None:
            for subscriber in self.subscribers.get(topic, []):
                self.calls += 1
                try:
                    subscriber(event)
                except ValueError as error:
                    self.publish("error", error)

    class Counting(LoggingHooks):
        """Counts, and logs as the bus does by itself."""

        def __init__(self) -> None:
            self.outcomes: list[Outcome] = []

        def on_delivery(self, details: DeliveryDetails, /) -> None:
            self.outcomes.append(details.outcome)
            super().on_delivery(details)

    def test_the_originals_recurs_until_the_stack_is_gone(self) -> None:
        bus = self.NaiveEventBus()

        def throws(_: object) -> None:
            raise ValueError("the error handler itself")

        bus.subscribe("error", throws)
        with pytest.raises(RecursionError):
            bus.publish("error", "something went wrong")
        assert bus.calls > 100

    async def test_ours_tells_it_once_and_calls_nobody_again(self, caplog: pytest.LogCaptureFixture) -> None:
        hooks = self.Counting()
        bus = MemoryEventBus(hooks=hooks)
        heard: list[str] = []

        async def throws(event: CloudEvent) -> None:
            heard.append(event.id)
            raise ValueError("the error handler itself")

        await bus.subscribe(["error"], throws)
        await bus.subscribe(["order"], throws)
        events = [CloudEvent(type_, "/test", "s_1", {}) for type_ in ("order.created", "error.raised", "error.raised")]
        await bus.publish(events)
        await eventually(lambda: len(hooks.outcomes) == 3)
        await bus.aclose()

        assert sorted(heard) == sorted(event.id for event in events)
        assert hooks.outcomes == [Outcome.FAILED] * 3
        assert sum("the error handler itself" in record.message for record in caplog.records) == 3


class TestRow9SlidingWindow:
    """100 a minute: never more than 100 in any 60 s, wherever they begin; limiters are independent."""

    class NaiveRateLimiter:
        """The original's: a count that starts anew when its window is over, in one map for all limiters."""

        counts: ClassVar[dict[str, tuple[float, int]]] = {}

        def __init__(self, clock: FakeClock) -> None:
            self.clock = clock

        async def check_limit(self, key: str, limit: int, window: float) -> bool:
            began, count = self.counts.get(key, (self.clock.monotonic(), 0))
            if self.clock.monotonic() - began >= window:
                began, count = self.clock.monotonic(), 0
            self.counts[key] = began, count + 1
            return count < limit

    @staticmethod
    async def accepted_at_the_edge(limiter: Any, clock: FakeClock) -> int:
        """Of one early call, and 150 just before and just after the minute's end: how many of the late ones pass."""
        accepted = 0
        await limiter.check_limit("client", 100, 60)
        await clock.advance(59.999)
        for _ in range(2):
            for _ in range(150):
                accepted += bool(getattr(answer := await limiter.check_limit("client", 100, 60), "allowed", answer))
            await clock.advance(0.003)
        return accepted

    async def test_the_naive_one_accepts_199_in_3_ms_and_shares_its_counts(self) -> None:
        clock = FakeClock()
        one, another = self.NaiveRateLimiter(clock), self.NaiveRateLimiter(clock)

        assert await self.accepted_at_the_edge(one, clock) == 199
        assert not await another.check_limit("client", 100, 60)

    async def test_ours_accepts_100_in_any_minute_and_shares_nothing(self) -> None:
        clock = FakeClock()
        one, another = RateLimiter(clock=clock), RateLimiter(clock=clock)

        assert await self.accepted_at_the_edge(one, clock) == 100
        assert (await another.check_limit("client", 100, 60)).remaining == 99


class TestRow10BrotliCompresses:
    """Brotli compresses, streams and decodes."""

    TEXT = b'{"orderId":"ord_1","status":"completed"},' * 2_000

    class NaiveBrotli:
        """The original's: parameters by number, as its runtime takes them, and the quality under one that is none."""

        IDS: ClassVar[dict[int, str]] = {0: "mode", 1: "quality", 2: "lgwin", 3: "lgblock"}  # BrotliEncoderParameter

        def __init__(self, *, quality_id: int = 11) -> None:
            if quality_id not in self.IDS:
                raise ValueError(f"{quality_id} is not a valid Brotli parameter")
            compressor = brotli.Compressor(**{self.IDS[quality_id]: 4})
            self.encode, self.flush, self.finish = compressor.process, compressor.flush, compressor.finish

    @staticmethod
    def decoded(compressor: Any, *chunks: bytes) -> list[bytes]:
        """What a client has after each chunk, and at the end."""
        decoder, seen = brotli.Decompressor(), []
        encoded = [*(compressor.encode(chunk) + compressor.flush() for chunk in chunks), compressor.finish()]
        for part in encoded:
            pieces = [decoder.process(part)]
            while pieces[-1]:
                pieces.append(decoder.process(b""))
            seen.append(b"".join(pieces))
        assert decoder.is_finished()
        return seen

    def test_the_naive_one_throws(self) -> None:
        with pytest.raises(ValueError, match="11 is not a valid Brotli parameter"):
            self.decoded(self.NaiveBrotli(), self.TEXT)

        assert self.decoded(self.NaiveBrotli(quality_id=1), self.TEXT) == [
            self.TEXT,
            b"",
        ]  # it is the number, and no more

    def test_ours_streams_and_is_smaller(self) -> None:
        (codec,) = installed_codecs(["br"])

        seen = self.decoded(codec.encoder(codec.levels.normal), self.TEXT, b"and", b"more")

        assert seen == [self.TEXT, b"and", b"more", b""]
        assert len(codec.whole(self.TEXT, codec.levels.normal)) < len(self.TEXT) / 10


class TestRow11StreamsAreCompressed:
    """A reply of 250 kB in chunks is compressed chunk by chunk; weights are honoured; `Vary` is there."""

    CHUNKS = [b'{"orderId":"ord_1","status":"completed"},' * 1_250] * 5

    class NaiveCompression:
        """The plan's: it needs a Content-Length, and looks for the word `gzip`."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            asked = b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b"")
            encodes = False

            async def compressing(message: Any) -> None:
                nonlocal encodes
                if message["type"] == "http.response.start":
                    encodes = asked and int(dict(message["headers"]).get(b"content-length", b"0")) > 1024
                    if encodes:
                        message = {**message, "headers": [(b"content-encoding", b"gzip")]}
                elif encodes:
                    message = {**message, "body": gzip.compress(message["body"])}
                await send(message)

            await self.app(scope, receive, compressing)

    @classmethod
    async def answer(cls, middleware: Any, accept: bytes, *chunks: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
        """The headers and the parts that leave. A single chunk has its length declared."""
        headers = [(b"content-type", b"application/json")]
        if len(chunks) == 1:
            headers.append((b"content-length", b"%d" % len(chunks[0])))
        sent: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number, chunk in enumerate(chunks, start=1):
                await send({"type": "http.response.body", "body": chunk, "more_body": number < len(chunks)})
                await asyncio.sleep(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", accept)]}
        await middleware(app)(scope, None, send)
        return dict(sent[0]["headers"]), [message["body"] for message in sent[1:]]

    async def test_the_naive_one_breaks_all_three(self) -> None:
        streamed, parts = await self.answer(self.NaiveCompression, b"gzip", *self.CHUNKS)
        refused, _ = await self.answer(self.NaiveCompression, b"gzip;q=0", b"".join(self.CHUNKS))

        assert (b"content-encoding" in streamed, parts) == (False, self.CHUNKS)
        assert refused[b"content-encoding"] == b"gzip"
        assert b"vary" not in {**streamed, **refused}

    async def test_ours_keeps_them(self) -> None:
        streamed, parts = await self.answer(Compression, b"gzip", *self.CHUNKS)
        refused, plain = await self.answer(Compression, b"gzip;q=0", b"".join(self.CHUNKS))

        decoder = zlib.decompressobj(31)
        assert [decoder.decompress(part) for part in parts] == self.CHUNKS
        assert sum(map(len, parts)) < 25_000
        assert (b"content-encoding" in refused, plain) == (False, [b"".join(self.CHUNKS)])
        assert streamed[b"vary"] == refused[b"vary"] == b"Accept-Encoding"


class TestRow13EndedSpansLeaveMemory:
    """10,000 ended spans are gone; the queue in front of a stuck exporter is bounded, and what it drops is counted."""

    class NaiveSpan:
        def __init__(self, name: str) -> None:
            self.name = name

        def end(self) -> None:
            self.ended = True

    class NaiveTracer:
        """The original's: it puts every span into a collection, and nothing ever takes one out."""

        def __init__(self) -> None:
            self.spans: list[TestRow13EndedSpansLeaveMemory.NaiveSpan] = []

        @contextmanager
        def start_span(self, name: str) -> Iterator[None]:
            span = TestRow13EndedSpansLeaveMemory.NaiveSpan(name)
            self.spans.append(span)
            yield
            span.end()

    @staticmethod
    def end_spans(tracer: Any, count: int) -> None:
        for number in range(count):
            with tracer.start_span(f"span {number}"):
                pass

    @classmethod
    def alive(cls) -> int:
        """How many spans of whatever kind there are in this process."""
        gc.collect()
        return sum(isinstance(each, cls.NaiveSpan | ReadableSpan | Span) for each in gc.get_objects())

    def test_the_naive_one_still_holds_them_all(self) -> None:
        tracer, before = self.NaiveTracer(), self.alive()

        self.end_spans(tracer, 10_000)

        assert self.alive() - before == 10_000

    @pytest.mark.parametrize("exports", [True, False])
    def test_ours_holds_none(self, exports: bool) -> None:
        exporter = CountingExporter()
        exporter.free.set()
        tracer, before = Tracer("order", exporter=exporter if exports else None, capacity=10_000), self.alive()

        self.end_spans(tracer, 10_000)
        assert tracer.force_flush(timeout=30)

        assert self.alive() - before == 0
        assert exporter.seen == (10_000 if exports else 0)
        assert tracer.dropped == 0

    def test_ours_holds_no_more_than_its_queue_when_the_exporter_is_stuck(self) -> None:
        exporter = CountingExporter()
        tracer, before = Tracer("order", exporter=exporter, capacity=100, batch=100), self.alive()
        self.end_spans(tracer, 100)
        assert exporter.busy.wait(30)  # the first hundred are on their way and stay there

        self.end_spans(tracer, 9_900)

        assert self.alive() - before == 200
        assert tracer.dropped == 9_800
        exporter.free.set()
        tracer.shutdown(timeout=30)


class CountingExporter(SpanExporter):
    """Keeps nothing but a number, and is stuck until `free` is set."""

    def __init__(self) -> None:
        self.seen = 0
        self.busy, self.free = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.busy.set()
        self.free.wait(30)
        self.seen += len(spans)
        return SpanExportResult.SUCCESS
