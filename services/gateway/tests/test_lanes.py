"""Both lanes answer alike, and each request takes the lane it should: what is usual does not fall back unnoticed."""

import gzip
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final

import aiohttp
import pytest
from yarl import URL

from cortex_core.asgi import HeaderPolicy
from cortex_core.asgi.security_headers import fixed_fields
from cortex_core.testing import FakeClock

_VARIES: Final = frozenset({"date", "x-request-id", "x-ratelimit-reset", "x-ratelimit-remaining", "ratelimit"})
_TRACE: Final = re.compile(rb'"traceId":"[0-9a-f]{32}"')
JSON: Final = (b"content-type", b"application/json")


async def said(client: aiohttp.ClientSession, method: str, path: str, **sent: Any) -> tuple[int, dict[str, Any], bytes]:
    url = URL(f"{str(client._base_url).rstrip('/')}{path}", encoded=True)
    async with client.request(method, url, **sent) as reply:
        headers = {name.lower(): reply.headers.getall(name) for name in reply.headers if name.lower() not in _VARIES}
        if "cortex-policy" in headers:  # which lane it was is what it is for
            headers["cortex-policy"] = [re.sub(r"lane=\w+", "lane=any", each) for each in headers["cortex-policy"]]
        if "content-encoding" in headers:  # the express lane knows the whole of it, and says how long it is
            headers.pop("content-length", headers.pop("transfer-encoding", None))
        if "cortex-policy" in headers:
            headers["cortex-policy"] = [re.sub("lane=[a-z]+", "", value) for value in headers["cortex-policy"]]
        return reply.status, headers, _TRACE.sub(b"", await reply.read())


async def lanes_of(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as reply:
        text = await reply.text()
    found = re.findall(r'cortex_gateway_lane_total\{lane="(\w+)"\} ([0-9.]+)', text)
    return {lane: float(count) for lane, count in found}


REQUESTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("POST", "/api/orders", {"json": {"a": 1}}),
    ("POST", "/api/orders?dry=1", {"data": b"x" * 200_000}),
    ("POST", "/api/orders/ord_1/cancel", {}),
    ("GET", "/api/storage/files", {}),
    ("GET", "/api/storage/files?limit=2&cursor=%2F", {}),
    ("HEAD", "/api/storage/files", {}),
    ("GET", "/api/storage/files/bafy", {}),
    ("HEAD", "/api/storage/files/bafy", {}),
    ("GET", "/api/storage/files/bafy", {"headers": {"Range": "bytes=0-3"}}),
    ("GET", "/api/storage/files", {"headers": {"Accept-Encoding": "gzip"}}),
    ("GET", "/api/storage/files", {"headers": {"Accept-Encoding": "identity"}}),
    ("GET", "/api/storage/files", {"headers": {"X-Request-Id": "mine", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}}),
    ("POST", "/api/compute/images", {"data": b"picture"}),
    ("GET", "/api", {}),
    ("HEAD", "/api", {}),
    ("HEAD", "/health/live", {}),
]

ANSWERS: Final[dict[str, tuple[int, bytes, Sequence[tuple[bytes, bytes]]]]] = {
    "plain": (200, b'{"a":1}', [JSON, (b"content-length", b"7")]),
    "chunked": (200, b'{"a":1}', [JSON]),
    "long": (200, b'{"a":"' + b"b" * 5000 + b'"}', [JSON, (b"content-length", b"5008")]),
    "long, chunked": (200, b'{"a":"' + b"b" * 5000 + b'"}', [JSON]),
    "not to be compressed": (200, b"b" * 5000, [(b"content-type", b"image/png"), (b"content-length", b"5000")]),
    "encoded": (200, gzip.compress(b"packed" * 900), [JSON, (b"content-encoding", b"gzip"), (b"vary", b"Accept")]),
    "created": (201, b"{}", [JSON, (b"location", b"orders/ord_1"), (b"etag", b'"1"'), (b"content-length", b"2")]),
    "empty": (204, b"", [(b"etag", b'"1"')]),
    "unmodified": (304, b"", [(b"etag", b'"1"')]),
    "a problem": (404, b'{"code":"x"}', [(b"content-type", b"application/problem+json"), (b"content-length", b"12")]),
    "failed": (500, b"oh", [(b"content-type", b"text/plain"), (b"content-length", b"2")]),
    "says a lot": (
        200,
        b"{}",
        [
            JSON, (b"content-length", b"2"), (b"server", b"secret/1.0"), (b"x-powered-by", b"cats"),
            (b"x-ratelimit-limit", b"7"), (b"ratelimit", b'"a";r=1'), (b"x-request-id", b"theirs"),
            (b"content-security-policy", b"default-src 'self'"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"),
            (b"cache-tag", b"mine"), (b"x-private", b"for this hop"), (b"keep-alive", b"timeout=5"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("limit", [0, 1_000_000])
async def test_every_answer_is_the_same_in_both_lanes(
    start_express: Any, start_asgi: Any, recorder: Any, kind: str, limit: int
) -> None:
    status, body, headers = ANSWERS[kind]

    def services() -> Mapping[str, Any]:
        return {name: recorder(status, body, headers) for name in ("order", "storage", "compute")}

    first, second = services(), services()
    settings = {"rate_limit_per_minute": limit}
    async with (
        start_express(settings, {"clock": FakeClock()}, **first) as express,
        start_asgi(settings, {"clock": FakeClock()}, **second) as asgi,
    ):
        for method, path, sent in REQUESTS:
            fast, slow = await said(express, method, path, **sent), await said(asgi, method, path, **sent)
            assert fast == slow, (method, path, sent)
        assert await lanes_of(express) == {
            "express": float(len(REQUESTS)),
            "asgi": 1.0,
        }  # that one asked for the figures

    for name in first:
        ours, theirs = [[_seen(request) for request in service[name].requests] for service in (first, second)]
        assert ours == theirs


async def test_what_a_service_tells_the_cache_is_not_its_clients_where_there_is_none(
    start_express: Any, start_asgi: Any, recorder: Any
) -> None:
    for start in (start_express, start_asgi):
        services = {name: recorder(*ANSWERS["says a lot"]) for name in ("order", "storage")}
        async with start({"cache_bytes": 0}, **services) as client:
            for path in ("/api/storage/files", "/api/orders/ord_1"):
                status, headers, _ = await said(client, "GET", path)
                assert (status, "cache-tag" in headers, "set-cookie" in headers) == (200, False, True)


MISSES: Final[list[tuple[str, dict[str, str]]]] = [
    ("/api/orders", {}),
    ("/api/orders?limit=2&cursor=%2F", {}),
    ("/api/orders/ord_1", {}),
    ("/api/orders/ord_1/events", {"Accept-Encoding": "gzip"}),
    ("/api/orders/ord_2", {"Accept-Encoding": "identity", "X-Request-Id": "mine"}),
    ("/api/orders/ord_3", {"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "Accept-Language": "de"}),
    ("/api/analytics/metrics", {}),
]


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("limit", [0, 1_000_000])
async def test_every_miss_is_the_same_in_both_lanes_and_what_is_kept_of_it(
    start_express: Any, start_asgi: Any, recorder: Any, kind: str, limit: int
) -> None:
    status, body, headers = ANSWERS[kind]
    first, second = ({name: recorder(status, body, headers) for name in ("order", "analytics")} for _ in range(2))
    settings = {"rate_limit_per_minute": limit}
    async with (
        start_express(settings, {"clock": FakeClock()}, **first) as express,
        start_asgi(settings, {"clock": FakeClock()}, **second) as asgi,
    ):
        for path, sent in MISSES:
            for _ in range(3):
                fast, slow = await said(express, "GET", path, headers=sent), await said(asgi, "GET", path, headers=sent)
                _without_stored(fast, slow)
                assert fast == slow, (path, sent)
        assert (await lanes_of(express))["express"] >= len(MISSES)

    for name in first:
        ours, theirs = [[_seen(request) for request in service[name].requests] for service in (first, second)]
        assert ours == theirs


OURS: Final = (200, b"{}", [JSON, (b"content-length", b"2"), *fixed_fields(HeaderPolicy(), secure=False)])
"""What a service of ours answers: it has said already what we would of security."""

HITS: Final[list[tuple[str, dict[str, str]]]] = [
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"Accept-Encoding": "gzip"}),
    ("GET", {"If-None-Match": '"1"'}),
]


@pytest.mark.parametrize("kind", [*ANSWERS, "of ours"])
@pytest.mark.parametrize("limit", [0, 1_000_000])
async def test_every_fresh_hit_is_the_same_in_both_lanes(
    start_express: Any, start_asgi: Any, recorder: Any, kind: str, limit: int
) -> None:
    status, body, headers = {**ANSWERS, "of ours": OURS}[kind]
    settings, path = {"rate_limit_per_minute": limit}, "/api/orders/ord_1"
    async with (
        start_express(settings, {"clock": FakeClock()}, order=recorder(status, body, headers)) as express,
        start_asgi(settings, {"clock": FakeClock()}, order=recorder(status, body, headers)) as asgi,
    ):
        for method, sent in [("GET", {}), *HITS]:
            fast, slow = [await said(client, method, path, headers=sent) for client in (express, asgi)]
            _without_stored(fast, slow)
            assert fast == slow, (method, sent)
            assert not [name for name, values in fast[1].items() if len(values) > 1 and name != "set-cookie"]
        express_lane = (await lanes_of(express))["express"]

    assert express_lane == (1 + len(HITS) if kind in {"plain", "of ours"} else express_lane)


def _without_stored(*answers: Any) -> None:
    """Of a miss: it is said where it is known already when the head goes out."""
    for _, fields, _ in answers:
        fields["cache-status"] = [value.replace("; stored", "") for value in fields["cache-status"]]


def _seen(request: Mapping[str, Any]) -> Any:
    own = {b"host", b"traceparent", b"x-request-id", b"x-request-deadline", b"x-forwarded-host", b"forwarded"}
    own |= {b"content-length", b"transfer-encoding"}
    headers = sorted(pair for pair in request["headers"] if pair[0] not in own)
    names = sorted({name for name, _ in request["headers"]} - {b"content-length", b"transfer-encoding"})
    return request["method"], request["raw_path"], request["query_string"], request["body"], headers, names


UNUSUAL: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("GET", "/api/nothing", {}),
    ("DELETE", "/api/orders", {}),
    ("GET", "/api/orders/ord%20a", {}),
    ("GET", "/api/storage/files?q=%22a%22&b=|", {}),
    ("GET", "/api/storage/files/..", {}),
    ("GET", "/health", {}),
    ("HEAD", "/api/analytics/metrics", {}),
    ("GET", "/api/orders", {"headers": {"Cache-Control": "no-cache"}}),
    ("GET", "/api/orders?limit=9", {"headers": {"If-None-Match": '"1"'}}),
    ("GET", "/api/analytics/metrics", {"headers": {"X-Request-Deadline": "5000"}}),
    ("POST", "/api/orders", {"headers": {"X-Cortex-Tenant": "public"}}),
    ("POST", "/api/orders", {"headers": {"X-Request-Id": "not safe!"}}),
    ("POST", "/api/orders", {"headers": {"traceparent": "nonsense"}}),
    ("POST", "/api/orders", {"headers": {"X-Request-Deadline": "0"}}),
    ("POST", "/api/orders", {"headers": {"X-Retry-Budget": "all"}}),
    ("POST", "/api/orders", {"headers": {"Authorization": "Bearer nonsense"}}),
    ("POST", "/api/orders", {"headers": {"Connection": "x-private", "X-Private": "1"}}),
    ("POST", "/api/orders", {"headers": {"Accept-Encoding": "identity;q=0"}}),
    ("POST", "/api/orders", {"headers": {"Content-Length": "1100000"}, "data": BytesIO(bytes(1_100_000))}),
    ("GET", "/api/storage/files", {"data": b"a body"}),
    ("GET", "/api/storage/files", {"headers": {"If-None-Match": '"1"'}}),
]


async def test_what_is_unusual_is_answered_by_the_application(
    start_express: Any, start_asgi: Any, recorder: Any
) -> None:
    async with (
        start_express(order=recorder(), storage=recorder(), analytics=recorder()) as express,
        start_asgi(order=recorder(), storage=recorder(), analytics=recorder()) as asgi,
    ):
        for asked, (method, path, sent) in enumerate(UNUSUAL, 1):
            fast, slow = await said(express, method, path, **sent), await said(asgi, method, path, **sent)
            if path != "/health":
                assert fast == slow, (method, path, sent)
            assert await lanes_of(express) == {"express": 0.0, "asgi": float(2 * asked)}, (method, path, sent)


async def silent(_: Any, receive: Any, send: Any) -> None:
    """A service that says nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def too_much() -> AsyncIterator[bytes]:
    for _ in range(17):
        yield bytes(1 << 16)


REFUSED: Final[list[tuple[int, str, str, Callable[[], dict[str, Any]]]]] = [
    (503, "POST", "/api/compute/images", lambda: {"data": b"picture"}),  # nobody is there
    (503, "GET", "/api/analytics/metrics", dict),  # nor there, and it would be kept
    (504, "GET", "/api/storage/files", lambda: {"headers": {"X-Request-Deadline": "50"}}),
    (413, "POST", "/api/orders", lambda: {"data": too_much()}),
]


async def test_what_is_refused_behind_the_limiter_says_the_same_of_the_cache(
    start_express: Any, start_asgi: Any, recorder: Any
) -> None:
    async with (
        start_express(order=recorder(), storage=silent) as express,
        start_asgi(order=recorder(), storage=silent) as asgi,
    ):
        for status, method, path, sent in REFUSED:
            fast, slow = await said(express, method, path, **sent()), await said(asgi, method, path, **sent())
            assert fast[0] == slow[0] == status
            del fast[1]["content-length"], slow[1]["content-length"]  # a 504 says how long was left
            assert fast[1] == slow[1], (method, path)
        assert (await lanes_of(express))["express"] == len(REFUSED)
