"""Hot answers say what the application's cache would say, for as long as it would, and nothing else."""

import asyncio
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.http_cache import CachePolicy
from cortex_core.testing.exchange import exchange

from .hot_lanes import ORDER, TABLE, Lanes, alike, read, said

ACCEPTED = st.sampled_from(
    [None, "", "gzip", "br, gzip;q=0.5", "zstd", "deflate", "identity", "*", "gzip, identity;q=0", "*;q=0", "compress"]
)
HELD = st.sampled_from([None, '"v1"', 'W/"v1"', '"v2"', "*", '"v1", W/"v2"', "nonsense", ""])
SECOND_LOOK: Final = [{"Cache-Control": "max-age=1"}, {"Range": "bytes=0-1"}, {"Pragma": "no-cache"}]
SPECIAL = st.sampled_from([{}, {}, {}, {"Accept": "text/html"}, *SECOND_LOOK])
REQUEST = st.tuples(
    st.sampled_from([ORDER, ORDER + "?version=1", "/api/orders", "/api/orders/ord%5F1"]),
    st.sampled_from(["GET", "GET", "HEAD"]),
    ACCEPTED,
    HELD,
    SPECIAL,
)
STEP = st.one_of(
    REQUEST,
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from(["event", "change", "small", "large", "untagged", "vary", "new version"]),
)


@given(steps=st.lists(STEP, max_size=25))
def test_both_lanes_answer_alike(steps: list[Any]) -> None:
    asyncio.run(_in_step(Lanes(), steps))


async def _in_step(lanes: Lanes, steps: list[Any]) -> None:
    for step in steps:
        if isinstance(step, tuple):
            await _both(lanes, *step)
        elif isinstance(step, float):
            await lanes.clock.advance(step)
        elif step == "event":
            lanes.kept.heard("public", "order.completed", "ord_1")
        elif step == "change":
            lanes.kept.changed("public", "POST", "/api/orders")
        elif step in {"small", "large"}:
            lanes.body = b"{}" if step == "small" else b'{"a":"%b"}' % (b"b" * 500)
        elif step == "untagged":
            lanes.more = []
        elif step == "vary":
            lanes.more = [(b"vary", b"Accept"), (b"etag", b'"v1"')]
        else:
            lanes.more = [(b"etag", b'"v2"')]


async def _both(
    lanes: Lanes, target: str, method: str, accepted: str | None, held: str | None, special: dict[str, str]
) -> None:
    given_ = {"Accept-Encoding": accepted, "If-None-Match": held, **special}
    headers = {name: value for name, value in given_.items() if value is not None}
    path = target.partition("?")[0].replace("%5F", "_")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    route = TABLE.find(method, path)
    found = lanes.hot.find(route, target.encode(), "public", raw, head=method == "HEAD")
    before = lanes.asked
    query = target.partition("?")[2].encode()
    answer = await exchange(
        lanes.application,
        method,
        path,
        headers.items(),
        raw_path=target.partition("?")[0].encode(),
        query_string=query,
    )
    hit = (answer.header("cache-status") or "").startswith("cortex-gateway; hit")
    if found is not None:
        assert (hit, lanes.asked) == (True, before)
        alike(read(found.write(b"")), said(answer))
    elif hit:
        assert special in SECOND_LOOK or "accept" in (answer.header("vary") or "").lower().replace(
            "accept-encoding", ""
        )


async def test_a_hit_is_answered_with_what_the_connection_adds() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})

    found = lanes.find(ORDER, {})

    status, headers, body = read(found.write(b"date: now\r\nx-request-id: req\r\n"))
    assert (status, found.status, found.length, body) == (200, 200, 2, b"{}")
    assert (headers["date"], headers["x-request-id"]) == ("now", "req")
    assert (headers["age"], headers["cache-status"]) == ("0", "cortex-gateway; hit; ttl=2")


async def test_its_age_is_told_and_ends_it() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})
    await lanes.clock.advance(1.5)
    _, headers, _ = read(lanes.find(ORDER, {}).write(b""))
    assert (headers["age"], headers["cache-status"]) == ("1", "cortex-gateway; hit; ttl=0")

    await lanes.clock.advance(0.5)

    assert lanes.find(ORDER, {}) is None


async def test_it_is_gone_when_the_cache_lets_it_go() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})
    assert lanes.find(ORDER, {}) is not None

    lanes.kept.heard("public", "order.completed", "ord_1")

    assert lanes.find(ORDER, {}) is None


async def test_a_newer_answer_takes_its_place() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})
    assert lanes.find(ORDER, {"If-None-Match": '"v1"'}).status == 304
    lanes.more = [(b"etag", b'"v2"')]

    await lanes.ask(ORDER, {"Cache-Control": "no-cache"})

    assert lanes.find(ORDER, {"If-None-Match": '"v1"'}).status == 200


async def test_another_tenant_has_his_own() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})

    assert lanes.find(ORDER, {}, tenant="acme") is None


@pytest.mark.parametrize(
    "name",
    ["Cache-Control", "Pragma", "Range", "If-Range", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "Expect"],
)
async def test_what_takes_a_second_look_is_left_to_the_application(name: str) -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})

    assert lanes.find(ORDER, {name: "x"}) is None
    assert lanes.hits == 0


async def test_fields_that_come_twice_are_left_to_the_application() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})

    twice = [(b"accept-encoding", b"gzip"), (b"accept-encoding", b"br")]
    assert lanes.hot.find(TABLE.find("GET", ORDER), ORDER.encode(), "public", twice) is None


async def test_a_request_with_a_body_is_left_to_the_application() -> None:
    lanes = Lanes()
    await lanes.ask(ORDER, {})

    assert lanes.find(ORDER, {"Content-Length": "0"}) is not None
    assert lanes.find(ORDER, {"Content-Length": "1"}) is None
    assert lanes.find(ORDER, {"Transfer-Encoding": "chunked"}) is None


async def test_a_route_without_caching_has_none() -> None:
    assert Lanes().find("/api/storage/files", {}) is None


async def test_what_is_kept_ready_is_bounded() -> None:
    lanes = Lanes(4 << 20)
    lanes.hot = lanes.hot_answers(max_bytes=20_000)
    lanes.body = b"x" * 1000
    for number in range(50):
        await lanes.ask(f"/api/orders/ord_{number}", {})
        for accepted in ("gzip", "br", "zstd", "identity"):
            assert lanes.find(f"/api/orders/ord_{number}", {"Accept-Encoding": accepted}) is not None
        assert lanes.hot.size <= 20_000

    assert 1 <= len(lanes.hot) < 20


async def test_ways_to_say_one_answer_are_bounded() -> None:
    lanes = Lanes()
    lanes.body = b"x" * 1000
    await lanes.ask(ORDER, {})
    for number in range(200):
        assert lanes.find(ORDER, {"If-None-Match": f'"{number}"', "Accept-Encoding": "gzip"}).status == 200
        assert lanes.hot.size < 100_000

    assert lanes.find(ORDER, {"If-None-Match": '"%s"' % ("x" * 300)}) is None


async def test_an_answer_larger_than_the_room_is_left_to_the_application() -> None:
    lanes = Lanes()
    lanes.hot = lanes.hot_answers(max_bytes=500)
    await lanes.ask(ORDER, {})

    assert lanes.find(ORDER, {}) is None
    assert (lanes.hot.size, len(lanes.hot)) == (0, 0)


async def test_a_large_body_is_compressed_by_the_application() -> None:
    lanes = Lanes(4 << 20)
    lanes.body = b"x" * (200 << 10)
    await lanes.ask(ORDER, {})

    assert lanes.find(ORDER, {"Accept-Encoding": "gzip"}) is None
    assert lanes.find(ORDER, {}).length == 200 << 10


def test_it_needs_an_origin_of_its_own() -> None:
    lanes = Lanes()

    with pytest.raises(ValueError, match="origin"):
        lanes.hot_answers(CachePolicy())
