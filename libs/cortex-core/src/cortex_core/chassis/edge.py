"""The edge: what stands between the world and the routes of a service that the world can reach. Of ours, the gateway.

Owns the metrics of limiter, compression and cache, and what must be closed at the end. Refuses to choose limits: the
service's wiring does. `app.py` has the order in which a request meets them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.middleware import Middleware

from cortex_core.asgi import Compression, CompressionDetails, KeyFunction, RateLimit, Rule, by_client
from cortex_core.asgi.compression import Load, Precompressed, Pressure
from cortex_core.asgi.http_cache import (
    AnswerDetails,
    CacheErrorDetails,
    CachePolicy,
    CacheStore,
    HttpCache,
    InvalidatedDetails,
    Outcome,
    StoredDetails,
    Tags,
)
from cortex_core.asgi.rate_limit import EXEMPT
from cortex_core.asgi.types import ASGIApp
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.ratelimit import LeaseDetails, Limiter, OutageDetails, RefusalDetails

_PREFIX: Final = "cortex_rate_limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """Who counts, and what: see `asgi.RateLimit`. The limiter is closed with the edge."""

    limiter: Limiter
    rules: Sequence[Rule]
    exempt: Sequence[str] = EXEMPT


class Edge:
    """Each part may be left out (None); the limiter and the store are closed with the edge.

    `threshold`: bytes from which an answer is compressed. What is immutable is compressed once, and kept in
    `precompressed`. `cache_tags` and `cache_changes` are `HttpCache`'s `tags` and `changes`. `source` finds the address
    that a request comes from, where proxies stand between (None: the peer's). `allows_page` knows the other origins
    whose pages may ask, and `pages_setting` names them (`asgi.OwnPages`). `pressure`, `precompressed` and the two
    reporters are for whoever answers past the application, and is to be counted with it.
    """

    def __init__(
        self,
        metrics: MetricsCollector,
        logger: Logger,
        *,
        limits: Limits | None = None,
        threshold: int | None = 1024,
        precompressed: Precompressed | None = None,
        store: CacheStore | None = None,
        cache_policy: CachePolicy | None = None,
        cache_tags: Tags | None = None,
        cache_changes: Tags | None = None,
        outermost: Sequence[Middleware] = (),
        source: KeyFunction | None = None,
        allows_page: Callable[[bytes], bool] | None = None,
        pages_setting: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits
        self._threshold = threshold
        self.precompressed = precompressed
        self._store = store
        self._cache_policy = cache_policy
        self._outermost = list(outermost)
        self.source = source or by_client()
        self.allows_page, self.pages_setting = allows_page, pages_setting
        self._cache_tags, self._cache_changes = cache_tags, cache_changes
        self._clock = clock or SystemClock()
        self.cache_reporter = CacheReporter(metrics, logger)
        self.compression_reporter = CompressionReporter(metrics, logger)
        self.pressure = Pressure(clock=self._clock, on_change=self.compression_reporter.on_load)
        self.cache: HttpCache | None = None

    def outermost(self) -> list[Middleware]:
        """What is on every answer, whoever gives it: outside of whatever refuses."""
        return self._outermost

    def before_tenants(self) -> list[Middleware]:
        """What needs to know nothing of the request but its address and its headers."""
        found = []
        if self.limits is not None:
            limits = self.limits
            found.append(
                Middleware(RateLimit, limiter=limits.limiter, rules=limits.rules, exempt=limits.exempt, refuse=None)
            )
        if self._threshold is not None:
            found.append(
                Middleware(
                    Compression,
                    threshold=self._threshold,
                    pressure=self.pressure,
                    precompressed=self.precompressed,
                    on_response=self.compression_reporter.on_response,
                )
            )
        return found

    def after_tenants(self) -> list[Middleware]:
        return [] if self._store is None else [Middleware(self._make_cache, store=self._store)]

    async def aclose(self) -> None:
        if self.cache is not None:
            await self.cache.aclose()
        if self._store is not None:
            await self._store.aclose()
        if self.limits is not None:
            await self.limits.limiter.aclose()

    def _make_cache(self, app: ASGIApp, store: CacheStore) -> HttpCache:
        self.cache = HttpCache(
            app,
            store=store,
            policy=self._cache_policy,
            tags=self._cache_tags,
            changes=self._cache_changes,
            clock=self._clock,
            hooks=self.cache_reporter,
        )
        return self.cache


class CompressionReporter:
    """The hooks of `asgi.Compression` and of its pressure."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._bytes = metrics.create_counter(
            "cortex_compression_bytes_total", "Bytes before and after, of answers that were encoded", ("coding", "side")
        )
        self._sides: dict[str, tuple[Callable[[float], None], Callable[[float], None]]] = {}
        self._load = metrics.create_gauge("cortex_compression_load", "0 normal, 1 quickest levels, 2 off", merge="max")

    def on_response(self, details: CompressionDetails, /) -> None:
        sides = self._sides.get(details.coding) or self._bound(details.coding)
        sides[0](details.size_in)
        sides[1](details.size_out)

    def _bound(self, coding: str) -> tuple[Callable[[float], None], Callable[[float], None]]:
        """What counts the bytes before and after, looked up once: there are as many codings as codecs."""
        before, after = (self._bytes.labels(coding=coding, side=side).inc for side in ("in", "out"))
        sides = self._sides[coding] = before, after
        return sides

    def on_load(self, load: Load, /) -> None:
        self._load.set(load.value)
        write = self._logger.info if load is Load.NORMAL else self._logger.warning
        write(
            "the event loop is late: compression gives way" if load else "compression as usual", load=load.name.lower()
        )


class LimiterReporter:
    """Implements `ratelimit.LimiterHooks`."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._refusals = metrics.create_counter(
            f"{_PREFIX}_refusals_total",
            "Refusals, by policy and by whose counts",
            ("policy", "source"),
        )
        self._leases = metrics.create_counter(f"{_PREFIX}_leases_total", "Leases taken for hot keys", ("policy",))
        self._outage = metrics.create_gauge(
            f"{_PREFIX}_outage", "1 while the shared counts cannot be reached", merge="max"
        )

    def on_refusal(self, details: RefusalDetails, /) -> None:
        self._refusals.labels(policy=details.policy, source=details.source).inc()

    def on_lease(self, details: LeaseDetails, /) -> None:
        self._leases.labels(policy=details.policy).inc()

    def on_outage(self, details: OutageDetails, /) -> None:
        self._outage.set(1 if details.begun else 0)
        if details.begun:
            self._logger.warning("the limiter counts alone", error=details.error)
        else:
            self._logger.info("the limiter counts with the others again", seconds=round(details.seconds, 3))


class CacheReporter:
    """Implements `asgi.http_cache.CacheHooks`."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._answers = metrics.create_counter(
            "cortex_http_cache_answers_total", "Answers by where they came from", ("outcome", "collapsed")
        )
        self._stored = metrics.create_counter("cortex_http_cache_stored_bytes_total", "Bytes of answers that were kept")
        self._invalidated = metrics.create_counter("cortex_http_cache_invalidated_total", "Addresses that went")
        self._errors = metrics.create_counter("cortex_http_cache_errors_total", "Work that failed unseen", ("work",))
        self.on_hot_hit: Final = self._answers.labels(outcome=Outcome.HIT.value, collapsed="no").inc

    def on_answer(self, details: AnswerDetails, /) -> None:
        self._answers.labels(outcome=details.outcome.value, collapsed="yes" if details.collapsed else "no").inc()

    def on_stored(self, details: StoredDetails, /) -> None:
        if details.kept:
            self._stored.inc(details.size)

    def on_invalidated(self, details: InvalidatedDetails, /) -> None:
        self._invalidated.inc(details.count)

    def on_purged(self, count: int, /) -> None:
        """`count` addresses went at once, by what somebody else has heard."""
        self._invalidated.inc(count)

    def on_error(self, details: CacheErrorDetails, /) -> None:
        self._errors.labels(work=details.work).inc()
        self._logger.warning("cache trouble", work=details.work, error=repr(details.error))
