"""What the aggregated document says of an operation: every status and field that may be seen through the gateway."""

from typing import Any

import pytest

from cortex_core.asgi.rate_limit import RateLimited
from cortex_core.chassis.http_protocol.refusals import CODES
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import FakeClock
from cortex_gateway.domain.operations import GUARDS, SOCKET_GUARDS, forwarded_operation, own_operation, socket_operation
from cortex_gateway.ports import Upstreams
from cortex_gateway.routes import ROUTES, SOCKETS, Route, RouteTable, Service
from cortex_gateway.usecases import DescribeApi

PLAIN: dict[str, Any] = {"operationId": "run", "responses": {"200": {"description": "Fine"}}}


def route(path: str, method: str = "GET") -> Route:
    return next(each for each in ROUTES if each.path == path and method in each.methods)


def described(
    path: str, operation: dict[str, Any] = PLAIN, method: str = "get", *, anonymous: bool = False
) -> dict[str, Any]:
    return forwarded_operation(route(path, method.upper()), operation, method, anonymous=anonymous)


def test_the_guards_are_those_of_the_server() -> None:
    told = [*GUARDS.items(), *SOCKET_GUARDS.items()]
    assert {code: status for status, codes in told for code in codes} == CODES


def test_a_refusal_by_the_limit_is_documented_under_its_code() -> None:
    assert f"`{RateLimited.code}`" in described("/api/orders")["responses"]["429"]["description"]


def test_what_needs_a_scope_says_which_and_how_it_is_refused() -> None:
    told = described("/api/orders/{orderId}")

    assert told["security"] == [{"bearer": ["orders:read"]}, {"apiKey": ["orders:read"]}]
    assert "`auth.insufficient-scope`" in told["responses"]["403"]["description"]
    assert "WWW-Authenticate" in told["responses"]["401"]["headers"]


@pytest.mark.parametrize(
    ("method", "anonymous", "told"), [("post", True, True), ("post", False, False), ("get", True, False)]
)
def test_what_a_foreign_page_is_told_is_said_where_it_can_be(method: str, anonymous: bool, told: bool) -> None:
    refused = described("/api/orders", method=method, anonymous=anonymous)["responses"]["403"]["description"]

    assert ("`request.foreign-page`" in refused) is told


def test_where_anybody_is_served_no_credential_is_one_of_the_ways() -> None:
    assert {} in described("/api/orders", anonymous=True)["security"]
    assert {} not in described("/api/orders")["security"]


def test_the_services_own_word_stays_first() -> None:
    body = {"application/json": {"schema": {"type": "object"}}}
    says = {"description": "Service Unavailable: `order.away`", "content": body, "headers": {"retry-after": {}}}

    answer = described("/api/orders", {"responses": {"503": says}})["responses"]["503"]

    assert answer["description"].startswith("Service Unavailable: `order.away`, `http.too-many-connections`")
    assert answer["content"].keys() == {"application/json", "application/problem+json"}
    assert "Retry-After" not in answer["headers"]
    assert says == {"description": "Service Unavailable: `order.away`", "content": body, "headers": {"retry-after": {}}}


def test_what_is_kept_can_be_answered_in_parts_and_not_at_all() -> None:
    kept, passed = described("/api/orders")["responses"], described("/api/storage/files")["responses"]

    assert {"206", "304", "416"} <= kept.keys()
    assert kept["416"]["content"].keys() == {"application/problem+json"}
    assert {"ETag", "Age", "Cache-Status"} <= kept["304"]["headers"].keys()
    assert not {"206", "304", "416"} & passed.keys()


def test_only_a_path_with_a_parameter_can_be_none() -> None:
    assert "404" in described("/api/orders/{orderId}")["responses"]
    assert "404" not in described("/api/orders")["responses"]


@pytest.mark.parametrize(("path", "limited"), [("/health/live", False), ("/metrics", False), ("/api", True)])
def test_probes_are_not_limited(path: str, limited: bool) -> None:
    answer = own_operation(path, PLAIN)["responses"]["429"]

    assert ("`rate-limit.exceeded`" in answer["description"], "RateLimit" in answer["headers"]) == (limited, limited)


def test_our_own_are_neither_forwarded_nor_authorised_unless_they_say_so() -> None:
    told = own_operation("/api", PLAIN)["responses"]
    keys = own_operation("/api/keys", {**PLAIN, "security": [{"bearer": ["keys:admin"]}]})["responses"]

    assert "upstream" not in told["503"]["description"]
    assert not {"401", "403"} & told.keys()
    assert {"401", "403"} <= keys.keys()


def test_a_socket_is_described() -> None:
    told = socket_operation(SOCKETS[0], anonymous=False)

    assert told["x-websocket"] is True
    assert {"101", "426", "401", "403", "503"} <= told["responses"].keys()
    assert told["security"] == [{"bearer": ["notifications:read"]}, {"apiKey": ["notifications:read"]}]


class Away(CortexError):
    code, kind = "test.away", Kind.UNAVAILABLE


class Asleep(Upstreams):
    """Answers with `document`, or not at all."""

    def __init__(self) -> None:
        self.document: Any = {"paths": {"/orders": {"get": PLAIN}}}
        self.asked = 0

    async def fetch(self, service: Service, path: str, timeout: float) -> Any:
        self.asked += service is Service.ORDER
        if self.document is None or service is not Service.ORDER:
            raise Away("gone")
        return self.document


async def test_what_is_away_is_described_as_it_was_and_named() -> None:
    upstreams, clock = Asleep(), FakeClock()
    describe = DescribeApi(RouteTable(ROUTES), SOCKETS, upstreams, clock)
    first = await describe({"paths": {}})
    assert ("/api/orders" in first["paths"], first["x-cortex-stale"]) == (True, [])
    assert first["x-cortex-unavailable"] == ["notification", "analytics", "storage", "compute"]

    upstreams.document = None
    await clock.advance(11)
    second = await describe({"paths": {}})

    assert ("/api/orders" in second["paths"], second["x-cortex-stale"]) == (True, ["order"])


async def test_nonsense_does_not_take_the_place_of_what_is_known() -> None:
    upstreams, clock = Asleep(), FakeClock()
    describe = DescribeApi(RouteTable(ROUTES), SOCKETS, upstreams, clock)
    await describe({"paths": {}})

    upstreams.document = {"paths": ["none"]}
    await clock.advance(11)

    assert (await describe({"paths": {}}))["x-cortex-stale"] == ["order"]
