"""The loop that works orders off: what is due on the list is claimed and processed, at most `limit` orders at a time.

The list is the database's, so that a restart forgets nothing; this holds no more than what is in its hands, and says so
again before `claim` seconds are over: only from who is dead may another replica take it up. Owns what one order's
trouble costs: that order's time, and nobody else's. Refuses to know what processing is: `usecases/processing.py` does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cortex_core.kernel import Clock, Context, CortexError, TraceContext, use_context
from cortex_core.observability import Counter, Logger, Tracer
from cortex_order.domain import OrderId

IDLE: Final = 5.0  # seconds until the list is looked at again unasked: another replica may have left something there
LAST: Final = 1.0  # seconds at the end, for what was dropped to end, and for the list to hear of it
CROWDED: Final = 0.05  # seconds, where another replica was just taking all that was due


@dataclass(frozen=True, slots=True)
class Work:
    """An order on the list. `tries`: how often it was put off; `traceparent`: the trace it was placed in."""

    order_id: OrderId
    tenant: str
    tries: int
    traceparent: str | None = None


class WorkList(Protocol):
    """The whole list, of all tenants."""

    async def next_due(self) -> datetime | None:
        """When there is something to do, or has been since; None: the list is empty."""
        ...

    async def claim(self, limit: int, *, until: datetime) -> Sequence[Work]:
        """At most `limit` that are due, the longest due ones. They are due again at `until`, for whoever is there."""
        ...

    async def renew(self, works: Sequence[Work], *, until: datetime) -> None:
        """Those of `works` that this replica still has claimed are due again at `until`, and not before."""
        ...

    async def release(self) -> None:
        """What this replica has claimed is due now."""
        ...

    async def postpone(self, order_id: OrderId, *, until: datetime) -> None:
        """Of the current context's tenant."""
        ...


class Processing:
    """`run()` works; `wake()` says that there is something new; `drain()` ends it."""

    def __init__(
        self,
        work_list: WorkList,
        process: Callable[[OrderId], Awaitable[None]],
        *,
        limit: int,
        claim: float,
        backoff: Callable[[int], timedelta],
        clock: Clock,
        tracer: Tracer,
        logger: Logger,
        put_off: Counter,
    ) -> None:
        self._list = work_list
        self._process = process
        self._limit = limit
        self._claim = timedelta(seconds=claim)
        self._backoff = backoff
        self._clock = clock
        self._tracer = tracer
        self._logger = logger
        self._put_off = put_off
        self._running: dict[tuple[str, OrderId], tuple[Work, asyncio.Task[None]]] = {}
        self._renewal = clock.now() + self._claim / 2
        self._news = asyncio.Event()
        self._draining = False

    @property
    def in_flight(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        self._news.set()

    async def run(self) -> None:
        """Until cancelled: also what is drained stays in our hands until then."""
        while True:
            self._news.clear()
            await self._rest(await self._look())

    async def drain(self, grace: float) -> None:
        """Begins nothing new, gives what is under way `grace` seconds, and drops the rest: it is still on the list.

        Ends at most 2 `LAST` seconds after that, whatever ails the database. Who is not told then that our orders are
        free takes them up when our claim is over.
        """
        self._draining = True
        under_way = [task for _, task in self._running.values()]
        await _within(under_way, grace)
        dropped = [task for task in under_way if task.cancel()]
        await _within(dropped, LAST)
        if dropped:
            self._logger.warning("orders in payment dropped; they are on the list", dropped=len(dropped))
        await self._release()

    async def _release(self) -> None:
        releasing = asyncio.ensure_future(self._list.release())
        await _within([releasing], LAST)
        if releasing.cancel():
            self._logger.error("orders not released: they wait for the end of our claim", error="TimeoutError")
        elif error := releasing.exception():
            self._logger.error("orders not released: they wait for the end of our claim", exc_info=error)

    async def _look(self) -> float:
        """Begins what is due, and returns for how many seconds there is nothing more to do."""
        try:
            return min(await self._renewed(), await self._begin_due())
        except Exception as error:  # whatever ails the database: the list is still there when it is well again
            self._logger.exception("cannot read the list of orders to process", error=type(error).__name__)
            return IDLE

    async def _renewed(self) -> float:
        """Says at half time that what is in our hands still is. Returns for how many seconds that will do."""
        now = self._clock.now()
        if now >= self._renewal:
            if works := [work for work, _ in self._running.values()]:
                await self._list.renew(works, until=now + self._claim)
            self._renewal = now + self._claim / 2
        return (self._renewal - now).total_seconds()

    async def _begin_due(self) -> float:
        if self._draining:
            return IDLE
        places = self._limit - len(self._running)
        if places <= 0:
            return IDLE  # the end of one wakes us
        wait = await self._wait()
        if wait > 0:
            return wait
        works = await self._list.claim(places, until=self._clock.now() + self._claim)
        await self._begin_all(works)
        return 0.0 if works else CROWDED

    async def _begin_all(self, works: Sequence[Work]) -> None:
        if self._draining:
            await self._list.release()
            return
        for work in works:
            if self._key(work) not in self._running:  # longer in our hands than its claim was
                self._begin(work)

    async def _wait(self) -> float:
        """Seconds until something is due, IDLE at most."""
        due_at = await self._list.next_due()
        return IDLE if due_at is None else min(IDLE, max(0.0, (due_at - self._clock.now()).total_seconds()))

    def _begin(self, work: Work) -> None:
        task = asyncio.create_task(self._work(work), name=f"process {work.order_id}")
        self._running[self._key(work)] = work, task
        task.add_done_callback(lambda _: self._ended(work))

    def _ended(self, work: Work) -> None:
        del self._running[self._key(work)]
        self.wake()

    async def _work(self, work: Work) -> None:
        trace = TraceContext.parse(work.traceparent)
        with use_context(Context(tenant=work.tenant, trace=trace)):
            try:
                with self._tracer.start_span("process order", kind="consumer", parent=trace) as span:
                    span.set_attribute("cortex.order.id", work.order_id)
                    await self._process(work.order_id)
            except Exception as error:  # one order's trouble, a bug included, must neither end nor stop the others
                code = error.code if isinstance(error, CortexError) else "internal"
                self._put_off.labels(code=code).inc()
                self._logger.exception("order put off", order_id=work.order_id, code=code, tries=work.tries)
                await self._postpone(work)

    async def _postpone(self, work: Work) -> None:
        try:
            await self._list.postpone(work.order_id, until=self._clock.now() + self._backoff(work.tries))
        except Exception:  # the database itself: not even that can be noted. Keep the order in hand for a while instead
            self._logger.exception("cannot put the order off", order_id=work.order_id)
            await self._clock.sleep(IDLE)

    async def _rest(self, seconds: float) -> None:
        """Returns after `seconds`, or when there is news."""
        news = asyncio.create_task(self._news.wait())
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({news, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            sleep.cancel()

    @staticmethod
    def _key(work: Work) -> tuple[str, OrderId]:
        return work.tenant, work.order_id


async def _within(tasks: "Sequence[asyncio.Future[None]]", seconds: float) -> None:
    """Returns when they have, or so many seconds later."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
