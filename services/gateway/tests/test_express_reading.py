"""What the express lane finds and reads is what the application would have found and read."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel import Principal
from cortex_gateway.dataplane.reading import Reader, Reading, Strictness
from cortex_gateway.dataplane.table import ExpressTable
from cortex_gateway.domain import end_to_end, request_headers, target_of
from cortex_gateway.domain.provenance import Provenance
from cortex_gateway.routes import PREFIX, ROUTES, RouteTable

TABLE = RouteTable(ROUTES)
EXPRESS = ExpressTable(TABLE, {})

segments = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=6) | st.sampled_from(
    ["orders", "storage", "files", "events", "cancel", "ord_1", ".", "..", "...", "%2e", "%2F", "a b", "é"]
)
paths = st.lists(segments, max_size=4).map(lambda parts: "/".join(["/api", *parts])) | st.sampled_from(
    [route.path.replace("{orderId}", "ord_1").replace("{cid}", "bafy") for route in ROUTES]
)


class TestTable:
    @given(path=paths, query=st.text(max_size=8), method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "PATCH"]))
    def test_what_it_finds_the_applications_table_finds_too_and_sends_to_the_same_target(
        self, path: str, query: str, method: str
    ) -> None:
        target = f"{path}?{query}".encode() if query else path.encode()
        entry = EXPRESS.find(method.encode(), target)
        if entry is None:
            return

        assert entry.route is TABLE.find(method, path)
        assert target[entry.cut :].decode() == target_of(path.removeprefix(PREFIX), query.encode())

    def test_every_route_is_found(self) -> None:
        for route in ROUTES:
            path = re.sub(r"\{[^}]*\}", "x-1", route.path)
            for method in route.methods:
                found = EXPRESS.find(method.encode(), f"{path}?a=b".encode())
                assert found is not None
                assert (found.route, found.template, found.verb) == (route, route.path, method)


names = st.sampled_from(
    [
        *(b"accept", b"cookie", b"x-own", b"connection", b"te", b"upgrade", b"forwarded", b"x-forwarded-for"),
        *(b"x-real-ip", b"host", b"traceparent", b"tracestate", b"x-request-id", b"x-cortex-tenant"),
        *(b"x-cortex-principal", b"content-type", b"if-match", b"keep-alive", b"proxy-authorization", b"trailer"),
    ]
)
PEER = ("192.0.2.1", 4711)


def reader(**strictness: bool) -> Reader:
    return Reader(Strictness(**strictness), Provenance())


values = st.sampled_from([b"", b"a", b"keep-alive", b"close, x-own", b"x-own", b"trailers", b"req_1", b"00-ab"])


class TestReading:
    @given(headers=st.lists(st.tuples(names, values), max_size=8))
    def test_what_passes_is_what_the_domain_lets_pass(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        reading = reader(tenants=False).read(headers, scheme="http", client=PEER)
        if reading is None:
            return

        ours = [tuple(line.split(b": ", 1)) for line in reading.passed.split(b"\r\n")[:-1]]
        source = Provenance()({"headers": headers, "client": PEER, "scheme": "http"})
        theirs = request_headers(headers, source=source, prefix="/api")
        assert sorted(ours) == sorted(theirs)
        assert end_to_end(headers) == [pair for pair in headers if pair[0] not in _hops(headers)]

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
            [(b"content-length", b"1"), (b"content-length", b"1")],
            [(b"content-length", b"+1")],
            [(b"transfer-encoding", b"gzip, chunked")],
            [(b"expect", b"miracles")],
            [(b"x-request-id", b"a b")],
            [(b"x-request-id", b"a"), (b"x-request-id", b"a")],
            [(b"x-request-deadline", b"-1")],
            [(b"x-retry-budget", b"2")],
            [(b"traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01")],
            [(b"upgrade", b"h2c")],
            [(b"x-cortex-tenant", b"public")],
        ],
    )
    def test_what_is_unusual_is_not_read(self, headers: Any) -> None:
        assert reader().read([(b"host", b"hub"), *headers], scheme="http", client=None) is None

    def test_credentials_go_no_further_where_the_services_are_told_who_asks(self) -> None:
        def passed(*, credentials: bool) -> bytes:
            headers = [(b"authorization", b"Bearer t"), (b"x-api-key", b"ck_1")]
            reading = reader(credentials=credentials).read(headers, scheme="http", client=None)
            assert isinstance(reading, Reading)
            return reading.passed

        assert b"Bearer t" in passed(credentials=True)
        assert b"Bearer t" not in passed(credentials=False)
        assert b"ck_1" not in passed(credentials=False)


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    named = {each.strip() for name, value in headers if name == b"connection" for each in value.split(b",")}
    fixed = {b"connection", b"keep-alive", b"proxy-authorization", b"te", b"trailer", b"upgrade"}
    return fixed | named


def test_an_entry_is_open_to_who_has_its_scope() -> None:
    entry = EXPRESS.find(b"GET", b"/api/storage/files")
    assert entry is not None
    assert entry.open_to(Principal("a", scopes=frozenset({"files:read"})))
    assert not entry.open_to(Principal("a", scopes=frozenset({"files:write"})))
