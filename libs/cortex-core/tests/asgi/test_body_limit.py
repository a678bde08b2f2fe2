"""A body larger than its route allows is refused; a length that cannot be believed, before anybody asks for it."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import BadLength, BodyLimit, RequestTooLarge
from cortex_core.testing.exchange import exchange


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body's length, or 499 where the client left."""
    size, message = 0, await receive()
    while message["type"] == "http.request":
        size += len(message.get("body", b""))
        if not message["more_body"]:
            return await send({"type": "http.response.start", "status": 200, "headers": [], "size": size})
        message = await receive()
    await send({"type": "http.response.start", "status": 499, "headers": []})


async def not_reading(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})


def declared(*lengths: str) -> list[tuple[str, str]]:
    return [("Content-Length", length) for length in lengths]


class TestLimit:
    async def test_a_body_of_exactly_the_limit_passes(self) -> None:
        answer = await exchange(BodyLimit(reading, default=5), "POST", headers=declared("5"), body=[b"abc", b"de"])

        assert answer.messages[0]["size"] == 5

    async def test_one_byte_more_than_the_limit_is_refused_with_the_limit(self) -> None:
        with pytest.raises(RequestTooLarge) as refused:
            await exchange(BodyLimit(reading, default=5), "POST", headers=declared("6"), body=[b"abcdef"])

        assert refused.value.details == {"limit": 5}

    async def test_a_body_that_is_declared_too_large_is_not_read(self) -> None:
        async def receive() -> Any:
            raise AssertionError("nothing is read")

        async def send(message: Any) -> None: ...

        scope = {"type": "http", "path": "/", "headers": [(b"content-length", b"6")]}
        with pytest.raises(RequestTooLarge):
            await BodyLimit(reading, default=5)(scope, receive, send)

    async def test_where_no_length_is_declared_bytes_are_counted(self) -> None:
        with pytest.raises(RequestTooLarge):
            await exchange(BodyLimit(reading, default=5), "POST", body=[b"abc", b"de", b"f"])

    async def test_a_body_that_is_longer_than_declared_is_counted_too(self) -> None:
        with pytest.raises(RequestTooLarge):
            await exchange(BodyLimit(reading, default=5), "POST", headers=declared("1"), body=[b"abc", b"def"])

    async def test_nobody_minds_a_large_body_that_nobody_reads(self) -> None:
        answer = await exchange(BodyLimit(not_reading, default=5), "POST", headers=declared("6"))

        assert answer.status == 404

    async def test_a_client_that_leaves_is_no_body(self) -> None:
        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": [], "then": (await receive())["type"]})

        answer = await exchange(BodyLimit(waiting, default=5), "POST", body=[b"abcde"])

        assert answer.messages[0]["then"] == "http.disconnect"

    @pytest.mark.parametrize("kind", ["websocket", "lifespan"])
    async def test_other_protocols_pass_through(self, kind: str) -> None:
        answer = await exchange(BodyLimit(not_reading, default=5), type=kind, headers=declared("no number"))

        assert answer.status == 404


class TestRoutes:
    @pytest.mark.parametrize(
        ("path", "limit"),
        [
            ("/api/orders", 10),
            ("/api/orders/1", 10),
            ("/api/ordersX", 5),
            ("/api/orders/1/files", 10),
            ("/api/orders/files", 20),
            ("/api/orders/files/1", 20),
            ("/api/ORDERS", 5),
            ("/", 5),
            ("*", 5),
        ],
    )
    async def test_the_longest_prefix_of_whole_segments_decides(self, path: str, limit: int) -> None:
        app = BodyLimit(reading, default=5, limits={"/api/orders": 10, "/api/orders/files": 20})

        assert (await exchange(app, path=path, body=[bytes(limit)])).status == 200
        with pytest.raises(RequestTooLarge) as refused:
            await exchange(app, path=path, body=[bytes(limit + 1)])
        assert refused.value.details == {"limit": limit}

    async def test_what_is_known_of_the_request_goes_before_prefixes(self) -> None:
        def of(scope: Any) -> int | None:
            return 3 if scope["method"] == "GET" else None

        app = BodyLimit(reading, default=5, limits={"/files": 10}, of=of)

        assert (await exchange(app, "POST", "/files", body=[bytes(10)])).status == 200
        with pytest.raises(RequestTooLarge) as refused:
            await exchange(app, "GET", "/files", body=[bytes(4)])
        assert refused.value.details == {"limit": 3}


class TestLengths:
    @pytest.mark.parametrize("length", ["", "-1", "+1", "1.0", "0x1", "1_0", " 1", "1,1", "1, 1", "1, 2", "five", "²"])
    async def test_what_is_no_number_is_refused_before_anybody_asks(self, length: str) -> None:
        with pytest.raises(BadLength, match="not a number"):
            await exchange(BodyLimit(not_reading, default=5), headers=declared(length))

    @pytest.mark.parametrize("lengths", [("1", "1"), ("1", "2"), ("1", "")])
    async def test_two_are_refused(self, lengths: tuple[str, ...]) -> None:
        with pytest.raises(BadLength, match="more than one"):
            await exchange(BodyLimit(not_reading, default=5), headers=declared(*lengths))

    async def test_one_beside_a_transfer_encoding_is_refused(self) -> None:
        headers = [*declared("1"), ("Transfer-Encoding", "chunked")]

        with pytest.raises(BadLength, match="Transfer-Encoding"):
            await exchange(BodyLimit(not_reading, default=5), headers=headers)

    async def test_a_transfer_encoding_alone_is_none(self) -> None:
        answer = await exchange(
            BodyLimit(reading, default=5), headers=[("Transfer-Encoding", "chunked")], body=[b"abc"]
        )

        assert answer.status == 200

    @pytest.mark.parametrize("digits", [20, 5_000])
    async def test_a_length_beyond_all_measure_is_too_large(self, digits: int) -> None:
        with pytest.raises(RequestTooLarge):
            await exchange(BodyLimit(reading, default=sys.maxsize), headers=declared("9" * digits))

    async def test_noughts_in_front_do_not_make_it_larger(self) -> None:
        assert (await exchange(BodyLimit(reading, default=5), headers=declared("0" * 30 + "5"))).status == 200

    @given(length=st.binary(max_size=40))
    async def test_no_length_raises_anything_else(self, length: bytes) -> None:
        try:
            answer = await exchange(BodyLimit(reading, default=5), headers=[("Content-Length", length)])
        except (BadLength, RequestTooLarge):
            return
        assert answer.status == 200
        assert int(length) <= 5


class TestConstruction:
    @pytest.mark.parametrize("default", [0, -1])
    def test_a_default_must_be_positive(self, default: int) -> None:
        with pytest.raises(ValueError, match="default"):
            BodyLimit(reading, default=default)

    def test_a_limit_must_be_positive_and_is_named(self) -> None:
        with pytest.raises(ValueError, match="limits: /files"):
            BodyLimit(reading, default=1, limits={"/files": 0})

    def test_a_prefix_must_be_a_path(self) -> None:
        with pytest.raises(ValueError, match="begins with '/'"):
            BodyLimit(reading, default=1, limits={"files": 1})
