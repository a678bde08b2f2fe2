"""What an order's service promises of keys, tags and conditions holds through the gateway, its cache included."""

from typing import Any

import pytest

PRIVATE = [(b"etag", b'"v2"'), (b"cache-control", b"private, no-cache"), (b"content-type", b"application/json")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("Idempotency-Key", '"8e03978e"'), ("Idempotency-Key", "bare"), ("If-Match", '"v1", W/"v2"'), ("If-Match", "*")],
)
async def test_what_a_command_hangs_on_reaches_the_service(
    start_gateway: Any, recorder: Any, name: str, value: str
) -> None:
    order = recorder(200, b"{}", [*PRIVATE, (b"content-length", b"2")])  # too short to be compressed: the tag stays
    async with (
        start_gateway(order=order) as client,
        client.post("/api/orders/ord_1/cancel", headers={name: value}) as reply,
    ):
        assert (reply.status, reply.headers["ETag"]) == (200, '"v2"')

    assert order.header(name.lower()) == [value]


async def test_what_a_repeated_request_is_told_comes_back(start_gateway: Any, recorder: Any) -> None:
    headers = [(b"idempotency-replayed", b"true"), (b"location", b"orders/ord_1"), (b"etag", b'"v1"')]
    async with (
        start_gateway(order=recorder(201, b"{}", headers)) as client,
        client.post("/api/orders", json={}, headers={"Idempotency-Key": "k"}) as reply,
    ):
        assert reply.status == 201
        assert {name: reply.headers[name.decode()].encode() for name, _ in headers} == dict(headers)


async def test_a_request_with_a_key_is_never_sent_twice(start_gateway: Any, recorder: Any) -> None:
    order = recorder(503, b"{}", [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")])
    headers = {"Idempotency-Key": "k"}
    async with start_gateway(order=order) as client, client.post("/api/orders", json={}, headers=headers) as reply:
        assert reply.status == 503

    assert len(order.requests) == 1


async def test_who_has_the_order_is_not_sent_it_again(start_gateway: Any, recorder: Any) -> None:
    order = recorder(200, b'{"version":2}', PRIVATE)
    async with start_gateway(order=order) as client:
        async with client.get("/api/orders/ord_1", headers={"If-None-Match": '"v2"'}) as known:
            assert (known.status, await known.read(), known.headers["ETag"]) == (304, b"", '"v2"')
        async with client.get("/api/orders/ord_1", headers={"If-None-Match": '"v1"'}) as changed:
            assert (changed.status, await changed.json()) == (200, {"version": 2})


async def test_the_services_own_304_is_passed_on(start_gateway: Any, recorder: Any) -> None:
    order = recorder(304, b"", PRIVATE[:2])
    async with (
        start_gateway(order=order) as client,
        client.get("/api/orders/ord_1", headers={"If-None-Match": '"v2"'}) as reply,
    ):
        assert (reply.status, reply.headers["ETag"]) == (304, '"v2"')


@pytest.mark.parametrize(("accepted", "tag"), [("identity", '"v2"'), ("gzip", 'W/"v2"')])
@pytest.mark.parametrize("status", [200, 304], ids=["kept", "the service's"])
async def test_a_304_has_the_tag_that_the_200_would_have(
    start_gateway: Any, recorder: Any, status: int, accepted: str, tag: str
) -> None:
    order = recorder(status, b"" if status == 304 else b"[%b]" % (b"1," * 2000 + b"1"), PRIVATE)
    asked = {"Accept-Encoding": accepted}
    async with start_gateway(order=order) as client:
        if status == 200:
            async with client.get("/api/orders/ord_1", headers=asked) as whole:
                assert (whole.status, whole.headers["ETag"]) == (200, tag)
        async with client.get("/api/orders/ord_1", headers={**asked, "If-None-Match": 'W/"v2"'}) as reply:
            assert (reply.status, reply.headers["ETag"]) == (304, tag)
