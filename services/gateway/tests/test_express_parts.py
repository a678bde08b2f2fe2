"""The express lane's parts by themselves: its heads, its ids, its records, its limits, its hot answers."""

import io
import json
from typing import Any
from uuid import UUID

import pytest

from cortex_core.asgi import HeaderPolicy
from cortex_core.asgi.security_headers import REVEALING
from cortex_core.kernel import CortexError
from cortex_core.observability import configure_logging
from cortex_gateway.dataplane.heads import Heads, without
from cortex_gateway.dataplane.ids import Ids


class TestHeads:
    heads = Heads(HeaderPolicy(), secure=False)

    def passed(self, *lines: bytes, limited: bool = False, bodiless: bool = False) -> list[bytes]:
        fields = b"".join(line + b"\r\n" for line in lines)
        return self.heads.passed(fields, fields.lower(), limited=limited, bodiless=bodiless).split(b"\r\n")[:-1]

    def test_what_the_service_says_of_security_stays_and_gaps_are_filled(self) -> None:
        said = self.passed(b"Referrer-Policy: origin", b"X-Own: referrer-policy: none")
        assert [line for line in said if line.lower().startswith(b"referrer-policy")] == [b"Referrer-Policy: origin"]
        assert b"x-content-type-options: nosniff" in said

    def test_a_service_that_says_it_all_is_left_as_it_is(self) -> None:
        lines = self.heads.security.split(b"\r\n")[:-1]
        assert self.passed(b"A: 1", *lines) == [b"A: 1", *lines]

    @pytest.mark.parametrize("name", [*REVEALING, b"Date", b"X-Request-Id", b"Cache-Tag"])
    def test_what_is_not_the_clients_is_cut_out_wherever_it_stands(self, name: bytes) -> None:
        line = name.title() + b": x"
        for lines in ([line, b"A: 1"], [b"A: 1", line], [line, line], [b"A: 1", line, b"B: 2", line]):
            said = self.passed(*lines)
            assert not any(each.lower().startswith(name.lower() + b":") for each in said)
            assert b"A: 1" in said or [line, line] == lines

    def test_limits_of_the_services_own_are_the_clients_where_we_have_none(self) -> None:
        assert b"RateLimit: x" in self.passed(b"RateLimit: x")
        assert b"RateLimit: x" not in self.passed(b"RateLimit: x", limited=True)

    def test_a_name_within_a_value_is_no_name(self) -> None:
        fields = b"A: date: 1\r\nDate-Own: 2\r\n"
        assert without(fields, fields.lower(), b"date") == (fields, fields.lower())

    def test_the_date_is_made_once_a_second(self) -> None:
        assert self.heads.date(0.5) == b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        assert self.heads.date(0.9) is self.heads.date(0.1)
        assert self.heads.date(61.0) == b"date: Thu, 01 Jan 1970 00:01:01 GMT\r\n"


class TestIds:
    def test_request_ids_are_uuids_that_sort_by_time(self) -> None:
        made = [Ids().request().decode() for _ in range(50)]
        found = [UUID(each.removeprefix("req_")) for each in made]
        assert {each.version for each in found} == {7}
        assert {each.variant for each in found} == {"specified in RFC 4122"}
        assert sorted(each[:19] for each in made) == [each[:19] for each in made]

    def test_no_two_are_the_same_nor_two_generators(self) -> None:
        ids = [Ids() for _ in range(2)]
        places = [one.place() for one in ids for _ in range(500)]
        assert {len(place) for place in places} == {48}
        assert len({half for place in places for half in (place[:32], place[32:])}) == 2000
        assert len({one.request()[-16:] for one in ids for _ in range(500)}) == 1000
        assert all(0 < one.span() < 1 << 64 for one in ids for _ in range(100))

    def test_neither_half_of_a_place_is_zero(self) -> None:
        ids = Ids()
        ids._bits = lambda _: 0
        assert (ids.place(), ids.span()) == (f"{1:032x}{1:016x}", 1)


class TestRecords:
    async def test_the_access_line_is_the_applications(
        self, start_express: Any, start_asgi: Any, recorder: Any
    ) -> None:
        lines = []
        for start in (start_express, start_asgi):
            stream = io.StringIO()
            configure_logging(service="gateway", stream=stream)
            try:
                async with start(storage=recorder()) as client:
                    headers = {"X-Request-Id": "req-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
                    async with client.get("/api/storage/files/bafy?secret=1", headers=headers) as reply:
                        assert reply.status == 200
            finally:
                configure_logging(service="gateway")
            lines.append([json.loads(line) for line in stream.getvalue().splitlines() if '"event":"request"' in line])

        (fast,), (slow,) = lines
        assert list(fast) == list(slow)
        varying = {"time", "span_id", "duration_ms"}
        assert {name: fast[name] for name in fast if name not in varying} == {
            name: slow[name] for name in slow if name not in varying
        }

    async def test_one_span_a_request_tells_its_route_and_service(
        self, start_express: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cortex_core.chassis import assembly as chassis
        from cortex_core.observability.exporters import InMemoryExporter

        exporter = InMemoryExporter()
        monkeypatch.setattr(chassis, "_exporter", lambda settings: exporter)
        storage = recorder(404)
        async with (
            start_express({"trace_sample_ratio": 1.0}, storage=storage) as client,
            client.get("/api/storage/files/bafy") as reply,
        ):
            assert reply.status == 404

        span = exporter.named("GET /api/storage/files/{cid}")
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.route": "/api/storage/files/{cid}",
            "cortex.upstream": "storage",
            "http.response.status_code": 404,
            "cortex.tenant": "public",
        }
        (passed,) = storage.header("traceparent")
        assert span.context is not None
        assert passed == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"

    async def test_what_is_not_sampled_says_so_to_the_service_and_leaves_no_span(
        self, start_express: Any, recorder: Any
    ) -> None:
        storage = recorder()
        async with (
            start_express({"trace_sample_ratio": 0.0}, storage=storage) as client,
            client.get("/api/storage/files") as reply,
        ):
            assert reply.status == 200

        assert storage.header("traceparent")[0].endswith("-00")


class TestLimits:
    async def test_a_refusal_costs_no_service_anything_and_is_the_applications(
        self, start_express: Any, start_asgi: Any, recorder: Any
    ) -> None:
        told = []
        for start in (start_express, start_asgi):
            storage = recorder()
            async with start({"rate_limit_per_minute": 1}, storage=storage) as client:
                for _ in range(2):
                    async with client.get("/api/storage/files") as reply:
                        body = await reply.read()
            problem = json.loads(body)
            problem.pop("traceId", None)
            told.append((reply.status, problem, int(reply.headers["Retry-After"]) > 0, len(storage.requests)))

        assert told[0] == told[1]
        assert told[0][0] == 429

    async def test_a_limiter_that_fails_is_an_answer(
        self, start_express: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cortex_core.ratelimit import RateLimiter

        errors: list[Exception] = [CortexError("told"), RuntimeError("a bug")]

        async def failing(self: RateLimiter, *demands: Any, cost: int = 1) -> Any:
            raise errors.pop()

        monkeypatch.setattr(RateLimiter, "spend", lambda self, *demands, cost=1: None)
        monkeypatch.setattr(RateLimiter, "acquire", failing)
        async with start_express({"rate_limit_per_minute": 1}, storage=recorder()) as client:
            while errors:
                async with client.get("/api/storage/files") as reply:
                    assert (reply.status, (await reply.json())["code"]) == (500, CortexError.code)


class TestHotAnswers:
    async def test_a_kept_answer_is_given_without_the_application(self, start_express: Any, recorder: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"etag", b'"1"'), (b"content-length", b"2")]
        async with start_express({"rate_limit_per_minute": 100}, order=recorder(200, b"{}", headers)) as client:
            async with client.get("/api/orders/ord_1") as first:
                await first.read()
            async with client.get("/api/orders/ord_1") as second:
                assert (second.status, await second.read()) == (200, b"{}")
            async with client.get("/api/orders/ord_1", headers={"If-None-Match": '"1"'}) as third:
                assert (third.status, await third.read()) == (304, b"")
            async with client.get("/metrics") as page:
                assert 'cortex_gateway_lane_total{lane="express"} 3.0' in await page.text()

        assert second.headers["Cache-Status"].startswith("cortex-gateway; hit")
        assert [each.headers["X-RateLimit-Remaining"] for each in (first, second, third)] == ["99", "98", "97"]
        assert all("X-Request-Id" in each.headers and "Date" in each.headers for each in (second, third))
        assert "lane=express" in second.headers["Cortex-Policy"]
