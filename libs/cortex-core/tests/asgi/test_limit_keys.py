"""Whom a limit is for."""

from typing import Any

from cortex_core.asgi import ClientAddress, by_api_key, by_client, by_key, by_route, by_tenant, by_user
from cortex_core.kernel import Principal, use_context


def request(path: str = "/", method: str = "GET", peer: str = "192.0.2.1", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "client": (peer, 4711), "headers": pairs}


def test_by_client_is_the_peer_unless_proxies_are_trusted() -> None:
    behind = by_client(ClientAddress(trusted=["192.0.2.0/24"]))

    assert by_client()(request(x_forwarded_for="203.0.113.7")) == "client:192.0.2.1"
    assert behind(request(x_forwarded_for="203.0.113.7")) == "client:203.0.113.7"


def test_by_client_groups_ipv6() -> None:
    assert by_client()(request(peer="2001:db8::1")) == by_client()(request(peer="2001:db8::2"))


def test_by_user_is_the_principal_within_its_tenant() -> None:
    assert by_user()(request()) is None
    with use_context(principal=Principal("anonymous")):
        assert by_user()(request()) is None
    with use_context(principal=Principal("ann", method="jwt"), tenant="acme"):
        assert by_user()(request()) == "user:acme/ann"


def test_no_two_users_share_a_key_for_a_slash_in_a_name() -> None:
    def key(tenant: str, principal: str) -> str | None:
        with use_context(tenant=tenant, principal=Principal(principal, method="jwt")):
            return by_user()(request())

    assert len({key("a", "b/c"), key("a/b", "c"), key("a%2Fb", "c"), key("a%2Fb/c", "c")}) == 4


def test_by_key_is_the_key_that_was_checked_whatever_the_header_says() -> None:
    ann = Principal("ann", "acme", method="api-key", key_id="key_1")

    assert by_key()(request(x_api_key="ck_something")) is None
    with use_context(principal=Principal("ann", method="jwt")):
        assert by_key()(request(x_api_key="ck_something")) is None
    with use_context(principal=ann, tenant="acme"):
        assert by_key()(request(x_api_key="ck_something")) == "key:key_1"


def test_by_tenant_is_the_contexts() -> None:
    assert by_tenant()(request()) == "tenant:public"
    with use_context(tenant="acme"):
        assert by_tenant()(request()) == "tenant:acme"


def test_by_api_key_keeps_no_key() -> None:
    key = by_api_key()(request(x_api_key="s3cret"))

    assert key is not None
    assert key.startswith("key:")
    assert "s3cret" not in key
    assert key == by_api_key("X-API-Key")(request(x_api_key="s3cret"))
    assert key != by_api_key()(request(x_api_key="another"))
    assert by_api_key()(request()) is None
    assert by_api_key("authorization")(request(authorization="Bearer x")) is not None


def test_by_route_has_no_more_keys_than_routes() -> None:
    route = by_route("/orders", "/orders/{orderId}", "/files/{cid}/v1.0")

    assert route(request("/orders")) == route(request("/orders", "HEAD")) == "route:GET /orders"
    assert route(request("/orders/ord_1")) == route(request("/orders/ord_2")) == "route:GET /orders/{orderId}"
    assert route(request("/orders/ord_1", "DELETE")) == "route:DELETE /orders/{orderId}"
    assert route(request("/files/x/v1.0")) == "route:GET /files/{cid}/v1.0"
    for made_up in ("/orders/", "/orders/a/b", "/files/x/v1x0", "/made/up", "/ordersx"):
        assert route(request(made_up)) == "route:unmatched"
    assert route(request("/orders", "BREW")) == "route:unmatched"
    assert route({"type": "websocket", "path": "/orders"}) == "route:GET /orders"
