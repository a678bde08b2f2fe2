"""The loop that works orders off: what is due on the list is processed, at most `limit` orders at a time.

The list is the database's, so that a restart forgets nothing; this holds no more than what is in its hands. Two
replicas may take up the same order: the charge is idempotent and the second writer is refused, so that costs work and
no money. Next: an order's virtual actor takes over what is in `_work`.
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


@dataclass(frozen=True, slots=True)
class Work:
    """An order on the list. `traceparent` is the trace it was placed in."""

    order_id: OrderId
    tenant: str
    due_at: datetime
    tries: int
    traceparent: str | None = None


class WorkList(Protocol):
    """The whole list, of all tenants."""

    async def next(self, limit: int) -> Sequence[Work]:
        """The first `limit` by `due_at`, due or not."""
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
        backoff: Callable[[int], timedelta],
        clock: Clock,
        tracer: Tracer,
        logger: Logger,
        put_off: Counter,
    ) -> None:
        self._list = work_list
        self._process = process
        self._limit = limit
        self._backoff = backoff
        self._clock = clock
        self._tracer = tracer
        self._logger = logger
        self._put_off = put_off
        self._running: dict[tuple[str, OrderId], asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._draining = False

    @property
    def in_flight(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while not self._draining:
            self._news.clear()
            await self._rest(await self._look())
        await asyncio.get_running_loop().create_future()  # nothing new is begun any more; who started this ends it

    async def drain(self, grace: float) -> None:
        """Begins nothing new, gives what is under way `grace` seconds, and drops the rest: it is still on the list."""
        self._draining = True
        self.wake()
        under_way = list(self._running.values())
        if under_way:
            await asyncio.wait(under_way, timeout=grace)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _look(self) -> float:
        """Begins what is due, and returns for how many seconds there is nothing more to do."""
        try:
            return await self._begin_due()
        except Exception as error:  # whatever ails the database: the list is still there when it is well again
            self._logger.exception("cannot read the list of orders to process", error=type(error).__name__)
            return IDLE

    async def _begin_due(self) -> float:
        taken = set(self._running)  # from before the look: what ends meanwhile is seen as it was, so it must wait
        if len(taken) >= self._limit:
            return IDLE  # the end of one wakes us
        for work in await self._list.next(self._limit + 1):
            if self._key(work) in taken:
                continue
            wait = (work.due_at - self._clock.now()).total_seconds()
            if wait > 0:
                return min(wait, IDLE)
            if len(self._running) >= self._limit or self._draining:
                return IDLE
            self._begin(work)
        return IDLE

    def _begin(self, work: Work) -> None:
        task = asyncio.create_task(self._work(work), name=f"process {work.order_id}")
        self._running[self._key(work)] = task
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
