"""The edge's parts: in their order, heard, and closed at the end."""

import asyncio
from typing import Any

import pytest
from starlette.middleware import Middleware

from cortex_core.asgi import Rule, by_client
from cortex_core.asgi.compression import CompressionDetails, Load, Precompressed
from cortex_core.asgi.http_cache import (
    AnswerDetails,
    CacheErrorDetails,
    InvalidatedDetails,
    MemoryCacheStore,
    Outcome,
    StoredDetails,
)
from cortex_core.chassis import Edge, LimiterReporter, Limits
from cortex_core.chassis.edge import CacheReporter, CompressionReporter
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.ratelimit import FixedWindow, LeaseDetails, OutageDetails, RateLimiter, RefusalDetails
from cortex_core.testing import FakeClock
from cortex_core.testing.exchange import exchange

BODY = b"x" * 5000


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def logger() -> Logger:
    return Logger.get("edge")


class Closing:
    """Stands for a limiter or a store of which only the end matters."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


def app(control: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain"), (b"cache-control", control.encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})

    return app


def behind(middleware: list[Middleware], app: Any) -> Any:
    for each in reversed(middleware):
        app = each.cls(app, *each.args, **each.kwargs)
    return app


class TestParts:
    async def test_all_of_them_may_be_left_out(self, metrics: MetricsCollector, logger: Logger) -> None:
        edge = Edge(metrics, logger, threshold=None)

        assert edge.before_tenants() == edge.after_tenants() == []
        await edge.aclose()

    async def test_the_limit_stands_outside_of_compression(self, metrics: MetricsCollector, logger: Logger) -> None:
        rule = Rule([(FixedWindow(1, 60.0), by_client())])
        edge = Edge(metrics, logger, limits=Limits(RateLimiter(clock=FakeClock()), [rule]))

        assert [each.cls.__name__ for each in edge.before_tenants()] == ["RateLimit", "Compression"]

    async def test_the_end_closes_the_limiter_and_the_caches_store(
        self, metrics: MetricsCollector, logger: Logger
    ) -> None:
        limiter, store = Closing(), Closing()
        edge = Edge(metrics, logger, limits=Limits(limiter, []), store=store)  # type: ignore[arg-type]  # ends, no more
        behind(edge.after_tenants(), app("no-store"))

        await edge.aclose()

        assert (limiter.closed, store.closed) == (True, True)

    async def test_the_end_ends_what_the_cache_does_behind_its_clients_backs(
        self, metrics: MetricsCollector, logger: Logger
    ) -> None:
        clock = FakeClock()
        edge = Edge(metrics, logger, store=MemoryCacheStore(1 << 20, clock=clock), clock=clock)
        answers, ended = app("public, max-age=1, stale-while-revalidate=60"), asyncio.Event()

        async def hangs_later(scope: Any, receive: Any, send: Any) -> None:
            if clock.monotonic() == 0:
                return await answers(scope, receive, send)
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        inside = behind(edge.after_tenants(), hangs_later)
        await exchange(inside)
        await clock.advance(2.0)
        assert (await exchange(inside)).body == BODY  # stale; the refresh hangs
        await asyncio.sleep(0)
        assert not ended.is_set()

        await edge.aclose()

        assert ended.is_set()


class TestCompression:
    async def test_bytes_are_counted_before_and_after(self, metrics: MetricsCollector, logger: Logger) -> None:
        edge = Edge(metrics, logger)
        answer = await exchange(behind(edge.before_tenants(), app("no-store")), headers=[("Accept-Encoding", "gzip")])

        sides = [metrics.value("cortex_compression_bytes_total", coding="gzip", side=side) for side in ("in", "out")]
        assert sides == [len(BODY), len(answer.body)]

    async def test_what_is_immutable_is_compressed_once(self, metrics: MetricsCollector, logger: Logger) -> None:
        kept = Precompressed()
        edge = Edge(metrics, logger, precompressed=kept)
        inside = behind(edge.before_tenants(), app("public, max-age=60, immutable"))

        first, second = [await exchange(inside, headers=[("Accept-Encoding", "gzip")]) for _ in range(2)]

        assert len(kept) == 1
        assert first.body == second.body

    def test_a_late_loop_is_heard(self, metrics: MetricsCollector, logger: Logger) -> None:
        (compression,) = Edge(metrics, logger).before_tenants()
        pressure: Any = compression.kwargs["pressure"]

        for _ in range(3):
            pressure.observe(0.1)

        assert metrics.value("cortex_compression_load") == Load.REDUCED

    def test_bytes_are_counted_by_coding(self, metrics: MetricsCollector, logger: Logger) -> None:
        reporter = CompressionReporter(metrics, logger)
        for coding, size in (("gzip", 100), ("br", 1000), ("gzip", 7)):
            reporter.on_response(CompressionDetails(coding, 5, Load.NORMAL, size, size // 2, kept=False, complete=True))

        sides = [(coding, side) for coding in ("gzip", "br") for side in ("in", "out")]
        counted = [metrics.value("cortex_compression_bytes_total", coding=one, side=side) for one, side in sides]
        assert counted == [107, 53, 1000, 500]

    @pytest.mark.parametrize("load", list(Load))
    def test_the_load_is_a_gauge(self, metrics: MetricsCollector, logger: Logger, load: Load) -> None:
        CompressionReporter(metrics, logger).on_load(load)

        assert metrics.value("cortex_compression_load") == load.value


class TestLimits:
    def test_an_outage_is_shown_while_it_lasts(self, metrics: MetricsCollector, logger: Logger) -> None:
        reporter = LimiterReporter(metrics, logger)
        shown = []
        for details in (OutageDetails(begun=True, error="ConnectionError"), OutageDetails(begun=False, seconds=2.0)):
            reporter.on_outage(details)
            shown.append(metrics.value("cortex_rate_limit_outage"))

        assert shown == [1, 0]

    def test_refusals_and_leases_are_counted(self, metrics: MetricsCollector, logger: Logger) -> None:
        reporter = LimiterReporter(metrics, logger)
        reporter.on_refusal(RefusalDetails("default", "outage", 1.0))
        reporter.on_lease(LeaseDetails("default", 10, 1.0))

        assert metrics.value("cortex_rate_limit_refusals_total", policy="default", source="outage") == 1
        assert metrics.value("cortex_rate_limit_leases_total", policy="default") == 1


class TestCache:
    def test_what_became_of_answers_is_counted(self, metrics: MetricsCollector, logger: Logger) -> None:
        reporter = CacheReporter(metrics, logger)
        reporter.on_answer(AnswerDetails(Outcome.HIT, "public", "GET", "/a", 200, collapsed=True))
        reporter.on_stored(StoredDetails("public", "/a", 100, 60.0, kept=True))
        reporter.on_stored(StoredDetails("public", "/b", 1000, 60.0, kept=False))
        reporter.on_invalidated(InvalidatedDetails("public", (), 3))
        reporter.on_error(CacheErrorDetails("refresh", ConnectionError()))

        assert metrics.value("cortex_http_cache_answers_total", outcome="hit", collapsed="yes") == 1
        assert metrics.value("cortex_http_cache_stored_bytes_total") == 100
        assert metrics.value("cortex_http_cache_invalidated_total") == 3
        assert metrics.value("cortex_http_cache_errors_total", work="refresh") == 1

    async def test_the_edge_hears_its_cache(self, metrics: MetricsCollector, logger: Logger) -> None:
        clock = FakeClock()
        edge = Edge(metrics, logger, store=MemoryCacheStore(1 << 20, clock=clock), clock=clock)
        inside = behind(edge.after_tenants(), app("public, max-age=60"))

        for _ in range(2):
            await exchange(inside)

        outcomes = [
            metrics.value("cortex_http_cache_answers_total", outcome=end, collapsed="no") for end in ("miss", "hit")
        ]
        assert outcomes == [1, 1]
