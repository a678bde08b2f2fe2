"""Whatever comes from outside: nothing raises, nothing hangs, everybody is answered."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.conditional import entity_tags, http_date
from cortex_core.asgi.http_cache import CachePolicy, HttpCache, MemoryCacheStore, NotCached
from cortex_core.asgi.http_cache.directives import FOREVER, cache_control
from cortex_core.asgi.http_cache.freshness import age_field
from cortex_core.testing import FakeClock

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
REAL = [
    'max-age=60, stale-while-revalidate=30, private="a, b"',
    'W/"a", "b", *',
    DATE,
    "bytes=0-1, 4-",
    "accept, accept-encoding, *",
    "7200, 0",
    "http://site:99999/[x",
]
NASTY = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(REAL).flatmap(
        lambda real: st.tuples(st.integers(0, len(real)), st.binary(max_size=4)).map(
            lambda cut: real[: cut[0]].encode() + cut[1] + real[cut[0] :].encode()
        )
    ),
)
ASKED = [
    *("cache-control", "pragma", "if-none-match", "if-modified-since", "if-range", "range"),
    *("accept", "host", "content-length"),
]
ANSWERED = [
    *("cache-control", "vary", "age", "date", "expires", "etag", "last-modified", "content-length"),
    *("cache-tag", "connection", "location", "content-location", "cache-status"),
]


@given(
    asked=st.lists(st.dictionaries(st.sampled_from(ASKED), NASTY, max_size=4), min_size=2, max_size=3),
    answered=st.lists(st.tuples(st.sampled_from(ANSWERED), NASTY), max_size=5),
    status=st.sampled_from([200, 206, 304, 404, 503]),
    method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
    later=st.sampled_from([0, 1, 100, 100_000]),
)
async def test_no_header_from_outside_raises(asked: Any, answered: Any, status: int, method: str, later: int) -> None:
    clock = FakeClock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), value) for name, value in answered]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    seen: list[Any] = []

    async def send(message: Any) -> None:
        seen.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    cache = HttpCache(
        app, store=MemoryCacheStore(clock=clock), policy=CachePolicy(etag=True, heuristic=0.1), clock=clock
    )
    for number, headers in enumerate(asked):
        scope = {
            "type": "http",
            "method": method if number else "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(name.encode(), value) for name, value in headers.items()],
        }
        seen.clear()
        try:
            await cache(scope, receive, send)
            assert seen[0]["type"] == "http.response.start"
            assert not seen[-1].get("more_body", False)
        except NotCached:
            assert b"only-if-cached" in headers["cache-control"]
        clock._elapsed += later
    await cache.aclose()


@given(text=st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    directives = cache_control(text)
    assert all(0 <= (directives.seconds(name) or 0) <= FOREVER for name in directives._found)
    assert 0 <= age_field(text) <= FOREVER
    http_date(text)
    entity_tags(text)
