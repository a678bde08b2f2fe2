"""The route table: what is found, what is refused, and what it says to the rest of the gateway."""

import tomllib
from dataclasses import replace
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
    larger = {(*each.methods, each.path): each.body_limit for each in ROUTES if each.body_limit != MIB}

    assert larger == {("POST", "/api/storage/files"): 1 << 30, ("POST", "/api/compute/images"): 32 * MIB}


def shown(route: Route) -> tuple[str, ...]:
    size = f"{route.body_limit >> 30} GiB" if route.body_limit >= 1 << 30 else f"{route.body_limit // MIB} MiB"
    methods = "WebSocket" if route in SOCKETS else ", ".join(route.methods)
    waits = f"{route.timeout:g} s" + (", streams" if route.streams else "")
    return f"`{route.path}`", methods, str(route.service), waits, size + (" a message" if route in SOCKETS else "")


def rows(page: str) -> list[tuple[str, ...]]:
    """The cells of all tables of a page."""
    lines = (Path(__file__).parents[3] / page).read_text().splitlines()
    return [tuple(cell.strip() for cell in line[1:-1].split("|")) for line in lines if line.startswith("| `")]


def test_the_readme_shows_the_table() -> None:
    told = rows("services/gateway/README.md")
    each = [replace(route, methods=(method,)) for route in (*ROUTES, *SOCKETS) for method in route.methods]
    found = {
        (path, method, *rest)
        for path, methods, *rest in (row for row in told if len(row) == 5)
        for method in methods.split(", ")
    }

    assert found == {shown(route) for route in each}


def test_the_page_of_the_cache_shows_what_is_kept() -> None:
    told = [
        (path.split("`")[1], kept, goes) for path, kept, goes in rows("docs/blocks/edge-cache.md") if kept[0].isdigit()
    ]
    kept = [(f"{m} {each.path}", each.caching) for each in ROUTES for m in each.methods if each.caching is not None]

    assert {(path, seconds) for path, seconds, _ in told} == {(path, f"{caching.ttl:g} s") for path, caching in kept}
    assert {path: goes == "time alone" for path, _, goes in told} == {
        path: not caching.purged_by for path, caching in kept
    }


def test_a_services_own_route_is_recognised_whatever_it_calls_its_parameters() -> None:
    assert TABLE.reaching("GET", "/orders/{order_id}", "order") is TABLE.find("GET", "/api/orders/ord_1")
    assert TABLE.reaching("DELETE", "/orders/{order_id}", "order") is None
    assert TABLE.reaching("GET", "/orders/{order_id}", "storage") is None
    assert TABLE.reaching("GET", "/health", "order") is None


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
