"""The route table: what is found, what is refused, and what it says to the rest of the gateway."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex_core.kernel import Kind
from cortex_gateway.routes import MIB, ROUTES, SOCKETS, MethodNotAllowed, Route, RouteNotFound, RouteTable, Service
from cortex_gateway.settings import Settings

TABLE = RouteTable(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "template", "service"),
    [
        ("POST", "/api/orders", "/api/orders", Service.ORDER),
        ("GET", "/api/orders", "/api/orders", Service.ORDER),
        ("GET", "/api/orders/ord_1", "/api/orders/{orderId}", Service.ORDER),
        ("GET", "/api/orders/ord_1/events", "/api/orders/{orderId}/events", Service.ORDER),
        ("POST", "/api/orders/ord_1/cancel", "/api/orders/{orderId}/cancel", Service.ORDER),
        ("GET", "/api/analytics/metrics", "/api/analytics/metrics", Service.ANALYTICS),
        ("POST", "/api/storage/files", "/api/storage/files", Service.STORAGE),
        ("GET", "/api/storage/files", "/api/storage/files", Service.STORAGE),
        ("GET", "/api/storage/files/bafy", "/api/storage/files/{cid}", Service.STORAGE),
        ("HEAD", "/api/storage/files/bafy", "/api/storage/files/{cid}", Service.STORAGE),
        ("POST", "/api/compute/images", "/api/compute/images", Service.COMPUTE),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, template: str, service: Service) -> None:
    route = TABLE.find(method, path)

    assert (route.path, route.service) == (template, service)


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/order",
        "/api/orders/",
        "/api/orders/ord_1/",
        "/api/orders/ord_1/items",
        "/api/orders/../events",
        "/api/orders//events",
        "/api/orders/..",
        "/api/orders/.",
        "/orders",
        "/API/orders",
        "/api//orders",
        "/api/orders\n",
    ],
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(RouteNotFound) as raised:
        TABLE.find("GET", path)

    assert (raised.value.code, raised.value.kind) == ("route.not-found", Kind.NOT_FOUND)


def test_dots_inside_a_segment_are_just_dots() -> None:
    assert TABLE.find("GET", "/api/orders/..a").path == TABLE.find("GET", "/api/orders/a.").path


def test_a_known_path_with_another_method_says_which_are_served() -> None:
    with pytest.raises(MethodNotAllowed) as raised:
        TABLE.find("DELETE", "/api/orders")

    assert raised.value.allow == ["GET", "HEAD", "POST"]
    assert raised.value.details == {"allow": ["GET", "HEAD", "POST"]}


def test_a_refused_method_names_the_route_for_the_metrics() -> None:
    with pytest.raises(MethodNotAllowed) as raised:
        TABLE.find("DELETE", "/api/orders/ord_1")

    assert raised.value.template == "/api/orders/{orderId}"


@pytest.mark.parametrize("turned", [False, True])
def test_a_literal_segment_wins_whatever_the_order(turned: bool) -> None:
    entries = [
        Route(("GET",), "/api/orders/{id}", Service.ORDER, None),
        Route(("GET",), "/api/orders/open", Service.STORAGE, None),
    ]

    table = RouteTable(entries[::-1] if turned else entries)

    assert table.find("GET", "/api/orders/open").service is Service.STORAGE
    assert table.find("GET", "/api/orders/other").service is Service.ORDER


def test_a_route_declared_twice_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"GET /api/orders/\{other\} is declared twice"):
        RouteTable(
            [
                Route(("GET",), "/api/orders/{id}", Service.ORDER, None),
                Route(("GET",), "/api/orders/{other}", Service.ORDER, None),
            ]
        )


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text(), st.sampled_from(["GET", "POST", "BREW", ""]))
def test_no_path_breaks_the_search(path: str, method: str) -> None:
    try:
        TABLE.find(method, f"/api{path}")
    except (RouteNotFound, MethodNotAllowed) as error:
        assert error.message


def test_limits_are_what_the_issue_says() -> None:
    assert TABLE.body_limits() == {
        "/api/orders": MIB,
        "/api/orders/": MIB,
        "/api/analytics/metrics": MIB,
        "/api/storage/files": 1 << 30,
        "/api/storage/files/": MIB,
        "/api/compute/images": 32 * MIB,
    }


def test_a_services_own_route_is_recognised_whatever_it_calls_its_parameters() -> None:
    assert TABLE.serves("GET", "/orders/{order_id}", Service.ORDER)
    assert not TABLE.serves("DELETE", "/orders/{order_id}", Service.ORDER)
    assert not TABLE.serves("GET", "/orders/{order_id}", Service.STORAGE)
    assert not TABLE.serves("GET", "/health", Service.ORDER)


def test_the_default_addresses_are_those_of_the_topology() -> None:
    topology = tomllib.loads((Path(__file__).parents[3] / "topology.toml").read_text())["services"]
    gateway = Settings(env="development")

    assert gateway.port == topology["gateway"]["port"]
    assert {service.value for service in Service} == topology.keys() - {"gateway"}
    for service in Service:
        assert getattr(gateway, f"{service}_url") == f"http://127.0.0.1:{topology[service]['port']}"
    assert SOCKETS[0].service is Service.NOTIFICATION


@pytest.mark.parametrize("address", ["127.0.0.1:3001", "http://order/api", "http://user:pw@order", "ftp://order", ""])
def test_an_address_is_scheme_and_authority(address: str) -> None:
    with pytest.raises(ValueError, match="order_url"):
        Settings(env="test", order_url=address)
