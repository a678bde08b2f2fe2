"""The edge: what stands between the world and the routes of a service that the world can reach. Of ours, the gateway.

Owns the metrics of limiter, compression and cache, and what must be closed at the end. Refuses to choose limits: the
service's wiring does. `app.py` has the order in which a request meets them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.middleware import Middleware

from cortex_core.asgi import Compression, CompressionDetails, RateLimit, Rule
from cortex_core.asgi.compression import Load, Precompressed, Pressure
from cortex_core.asgi.http_cache import (
    AnswerDetails,
    CacheErrorDetails,
    CachePolicy,
    CacheStore,
    HttpCache,
    InvalidatedDetails,
    StoredDetails,
)
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


class Edge:
    """Each part may be left out (None); the limiter and the store are closed with the edge.

    `threshold`: bytes from which an answer is compressed. What is immutable is compressed once, and kept in
    `precompressed`.
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
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits
        self._threshold = threshold
        self._precompressed = precompressed
        self._store = store
        self._cache_policy = cache_policy
        self._clock = clock or SystemClock()
        self._cache_reporter = CacheReporter(metrics, logger)
        self._compression_reporter = CompressionReporter(metrics, logger)
        self.cache: HttpCache | None = None

    def before_tenants(self) -> list[Middleware]:
        """What needs to know nothing of the request but its address and its headers."""
        found = []
        if self._limits is not None:
            found.append(Middleware(RateLimit, limiter=self._limits.limiter, rules=self._limits.rules, refuse=None))
        if self._threshold is not None:
            reporter = self._compression_reporter
            found.append(
                Middleware(
                    Compression,
                    threshold=self._threshold,
                    pressure=Pressure(clock=self._clock, on_change=reporter.on_load),
                    precompressed=self._precompressed,
                    on_response=reporter.on_response,
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
        if self._limits is not None:
            await self._limits.limiter.aclose()

    def _make_cache(self, app: ASGIApp, store: CacheStore) -> HttpCache:
        self.cache = HttpCache(
            app, store=store, policy=self._cache_policy, clock=self._clock, hooks=self._cache_reporter
        )
        return self.cache


class CompressionReporter:
    """The hooks of `asgi.Compression` and of its pressure."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._bytes = metrics.create_counter(
            "cortex_compression_bytes_total", "Bytes before and after, of answers that were encoded", ("coding", "side")
        )
        self._load = metrics.create_gauge("cortex_compression_load", "0 normal, 1 quickest levels, 2 off")

    def on_response(self, details: CompressionDetails, /) -> None:
        self._bytes.labels(coding=details.coding, side="in").inc(details.size_in)
        self._bytes.labels(coding=details.coding, side="out").inc(details.size_out)

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
        self._outage = metrics.create_gauge(f"{_PREFIX}_outage", "1 while the shared counts cannot be reached")

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

    def on_answer(self, details: AnswerDetails, /) -> None:
        self._answers.labels(outcome=details.outcome.value, collapsed="yes" if details.collapsed else "no").inc()

    def on_stored(self, details: StoredDetails, /) -> None:
        if details.kept:
            self._stored.inc(details.size)

    def on_invalidated(self, details: InvalidatedDetails, /) -> None:
        self._invalidated.inc(details.count)

    def on_error(self, details: CacheErrorDetails, /) -> None:
        self._errors.labels(work=details.work).inc()
        self._logger.warning("cache trouble", work=details.work, error=repr(details.error))
