"""Requests through the gateway: what reaches the service, and what comes back."""

import gzip
from typing import Any

import orjson
import pytest
from yarl import URL

from cortex_core.kernel import TraceContext

OWN = ("/", "/api", "/health", "/health/live", "/health/ready", "/docs", "/openapi.json", "/metrics")


async def test_a_request_reaches_its_service_without_the_prefix(start_gateway: Any, recorder: Any) -> None:
    headers = [(b"location", b"orders/ord_1"), (b"content-type", b"application/json")]
    order = recorder(201, b'{"orderId":"ord_1"}', headers)
    url, sent = URL("/api/orders?dry=%2F1&b", encoded=True), {"customerId": "cus_1"}
    async with start_gateway(order=order) as client, client.post(url, json=sent) as reply:
        told = await reply.json()

    assert (reply.status, told) == (201, {"orderId": "ord_1"})
    assert reply.headers["Location"] == "orders/ord_1"
    (request,) = order.requests
    assert (request["method"], request["raw_path"], request["query_string"]) == ("POST", b"/orders", b"dry=%2F1&b")
    assert orjson.loads(request["body"]) == sent


@pytest.mark.parametrize(
    ("service", "method", "path", "upstream_path"),
    [
        ("order", "GET", "/api/orders", b"/orders"),
        ("order", "GET", "/api/orders/ord_1", b"/orders/ord_1"),
        ("order", "GET", "/api/orders/ord_1/events", b"/orders/ord_1/events"),
        ("order", "POST", "/api/orders/ord_1/cancel", b"/orders/ord_1/cancel"),
        ("analytics", "GET", "/api/analytics/metrics", b"/analytics/metrics"),
        ("storage", "POST", "/api/storage/files", b"/storage/files"),
        ("storage", "GET", "/api/storage/files/bafy", b"/storage/files/bafy"),
        ("compute", "POST", "/api/compute/images", b"/compute/images"),
    ],
)
async def test_every_route_leads_to_its_service(
    start_gateway: Any, recorder: Any, service: str, method: str, path: str, upstream_path: bytes
) -> None:
    upstream = recorder()
    async with start_gateway(**{service: upstream}) as client, client.request(method, path) as reply:
        assert reply.status == 200

    assert [(request["method"], request["raw_path"]) for request in upstream.requests] == [(method, upstream_path)]


async def test_head_says_what_get_would_without_the_body(start_gateway: Any, recorder: Any) -> None:
    storage = recorder(200, b"", [(b"content-length", b"1234567"), (b"etag", b'"bafy"')])
    async with start_gateway(storage=storage) as client, client.head("/api/storage/files/bafy") as reply:
        assert (reply.status, await reply.read()) == (200, b"")
        assert (reply.headers["Content-Length"], reply.headers["ETag"]) == ("1234567", '"bafy"')
        async with client.get("/api/nothing") as after:  # on the same connection: nothing of a body was left behind
            assert after.status == 404

    assert [(request["method"], request["raw_path"]) for request in storage.requests] == [
        ("HEAD", b"/storage/files/bafy")
    ]


async def test_a_path_is_passed_on_as_the_service_will_read_it(start_gateway: Any, recorder: Any) -> None:
    order = recorder()
    async with start_gateway(order=order) as client:
        base = str(client._base_url).rstrip("/")
        async with client.get(URL(f"{base}/api/orders/ord%20%C3%A9%3F", encoded=True)) as reply:
            assert reply.status == 200
        async with client.get(URL(f"{base}/api/orders/..%2Fsecrets", encoded=True)) as reply:
            assert reply.status == 404
        async with client.get(URL(f"{base}/api/orders/%2e%2e", encoded=True)) as reply:
            assert reply.status == 404

    assert [request["path"] for request in order.requests] == ["/orders/ord é?"]


async def test_the_context_travels_and_the_clients_claims_do_not(start_gateway: Any, recorder: Any) -> None:
    order = recorder()
    trace = TraceContext.new()
    headers = {
        "traceparent": trace.traceparent,
        "X-Request-Id": "req-from-the-client",
        "X-Request-Deadline": "1500",
        "X-Forwarded-For": "10.0.0.1",
        "X-Cortex-Principal": "admin",
        "Idempotency-Key": "key-1",
        "Connection": "keep-alive, X-Private",
        "X-Private": "for this hop",
    }
    async with start_gateway(order=order) as client, client.get("/api/orders", headers=headers) as reply:
        assert reply.headers.getall("X-Request-Id") == ["req-from-the-client"]
        assert len(reply.headers.getall("Date")) == 1

    passed = TraceContext.parse(*order.header("traceparent"))
    assert passed is not None
    assert passed.trace_id == trace.trace_id
    assert passed.span_id != trace.span_id
    assert order.header("x-request-id") == ["req-from-the-client"]
    assert 0 < int(order.header("x-request-deadline")[0]) <= 1500
    assert order.header("x-forwarded-for") == ["127.0.0.1"]
    assert order.header("x-cortex-principal") == []
    assert order.header("idempotency-key") == ["key-1"]
    assert order.header("x-private") == []


async def test_without_a_deadline_the_route_sets_one_unless_it_streams(start_gateway: Any, recorder: Any) -> None:
    order, storage = recorder(), recorder()
    async with (
        start_gateway(order=order, storage=storage) as client,
        client.get("/api/orders"),
        client.post("/api/storage/files", data=b"x"),
    ):
        pass

    assert 4900 < int(order.header("x-request-deadline")[0]) <= 5000
    assert storage.header("x-request-deadline") == []


async def test_nothing_is_added_to_what_the_client_asks_for(start_gateway: Any, recorder: Any) -> None:
    order = recorder()
    bare = {"User-Agent": "", "Accept": "", "Accept-Encoding": ""}
    async with start_gateway(order=order) as client, client.get("/api/orders", skip_auto_headers=list(bare)):
        pass

    names = {name.decode() for name, _ in order.requests[0]["headers"]}
    assert names == {
        "host",
        "via",
        "forwarded",
        "traceparent",
        "x-cortex-tenant",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-request-deadline",
        "x-retry-budget",
        "x-request-id",
    }


async def test_a_problem_of_the_service_passes_untouched(start_gateway: Any, recorder: Any) -> None:
    problem = b'{"type":"urn:cortex:problem:order.not-found","status":404,"code":"order.not-found","more":[1, 2]}'
    order = recorder(404, problem, [(b"content-type", b"application/problem+json"), (b"retry-after", b"7")])
    async with start_gateway(order=order) as client, client.get("/api/orders/ord_1") as reply:
        assert await reply.read() == problem

    assert (reply.status, reply.content_type, reply.headers["Retry-After"]) == (404, "application/problem+json", "7")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_passes(start_gateway: Any, recorder: Any, status: int) -> None:
    order = recorder(status, b"", [(b"etag", b'"1"')])
    async with start_gateway(order=order) as client, client.get("/api/orders/ord_1") as reply:
        assert (reply.status, await reply.read(), reply.headers["ETag"]) == (status, b"", '"1"')


async def test_a_compressed_answer_stays_as_it_is(start_gateway: Any, recorder: Any) -> None:
    packed = gzip.compress(b"{}" * 100)
    order = recorder(200, packed, [(b"content-encoding", b"gzip"), (b"content-length", str(len(packed)).encode())])
    async with (
        start_gateway(order=order) as client,
        client.get("/api/orders", headers={"Accept-Encoding": "gzip"}) as reply,
    ):
        assert await reply.read() == b"{}" * 100

    assert order.header("accept-encoding") == ["gzip"]
    assert reply.headers["Content-Length"] == str(len(packed))


class TestNoSuchRoute:
    async def test_an_unknown_path_is_a_problem(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            for path in ("/api/nothing", "/api/", "/nothing", "/orders"):
                async with client.get(path) as reply:
                    told = await reply.json()
                assert (reply.status, reply.content_type) == (404, "application/problem+json")
                assert (told["code"], told["instance"]) == ("route.not-found", path)

    async def test_a_wrong_method_is_told_the_right_ones(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            for method in ("DELETE", "PUT", "PATCH"):
                async with client.request(method, "/api/orders") as reply:
                    told = await reply.json()
                assert (reply.status, told["code"]) == (405, "route.method-not-allowed")
                assert reply.headers["Allow"] == "GET, HEAD, OPTIONS, POST"

    async def test_a_path_says_what_it_serves(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            for path, allow in (("/api/orders", "GET, HEAD, OPTIONS, POST"), ("/api/orders/o", "GET, HEAD, OPTIONS")):
                async with client.options(path) as reply:
                    assert (reply.status, reply.headers["Allow"], await reply.read()) == (204, allow, b"")
            async with client.options("/api/nothing") as reply:
                assert reply.status == 404

    @pytest.mark.parametrize(
        ("path", "served"),
        [
            *((path, "GET, HEAD, OPTIONS") for path in OWN),
            ("/api/keys/key_1", "DELETE, GET, HEAD, OPTIONS"),
            ("/api/keys", "GET, HEAD, OPTIONS, POST"),
            ("/api/keys/key_1/rotate", "OPTIONS, POST"),
        ],
    )
    async def test_our_own_paths_say_it_too(self, start_asgi: Any, path: str, served: str) -> None:
        async with start_asgi({"key_pepper": "0123456789abcdef" * 4}) as client:
            for method, status in (("OPTIONS", 204), ("PATCH", 405)):
                async with client.request(method, path) as reply:
                    assert (reply.status, reply.headers.get("Allow")) == (status, served)

    async def test_unknown_paths_are_one_route_in_the_metrics(self, start_gateway: Any, recorder: Any) -> None:
        async with start_gateway(order=recorder()) as client:
            for path in ("/api/orders/ord_1", "/api/orders/ord_2", "/api/a", "/api/b", "/c"):
                async with client.get(path):
                    pass
            async with client.get("/metrics") as reply:
                text = await reply.text()

        def line(route: str, status: int) -> str:
            return f'cortex_hub_http_requests_total{{method="GET",route="{route}",service="gateway",status="{status}"}}'

        assert f"{line('/api/orders/{orderId}', 200)} 2.0" in text
        assert f"{line('unmatched', 404)} 3.0" in text

    async def test_a_wrong_method_is_counted_under_its_route(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            for path in ("/api/orders/ord_1", "/api/orders/ord_2"):
                async with client.delete(path) as reply:
                    assert reply.status == 405
            async with client.get("/metrics") as reply:
                text = await reply.text()

        labels = 'method="DELETE",route="/api/orders/{orderId}",service="gateway",status="405"'
        assert f"cortex_hub_http_requests_total{{{labels}}} 2.0" in text
