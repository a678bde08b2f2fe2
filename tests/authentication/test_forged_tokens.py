"""Every forgery of the corpus, on every protected route of every service and of the gateway: none is accepted.

The routes come from the applications themselves: one that asks for no scope fails here until it is listed as open.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from cortex_core.chassis.authentication import required_scopes
from cortex_core.security import SCOPES
from cortex_core.testing import Issuer
from cortex_core.testing.forgeries import Forgery, forgeries
from cortex_gateway.api import keys
from cortex_gateway.api.keys import NotServed
from cortex_gateway.routes import PREFIX, ROUTES, SOCKETS

OPEN = {"/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/docs/assets"}
"""What anybody may ask: it says nothing of anybody's business."""

GATEWAY_OPEN = OPEN | {"/", "/console", "/console/assets/{version}/{name:path}", "/api"}
"""The same of the gateway. What it forwards, and its sockets, are `table`'s."""

SERVICES = ("order", "notification", "analytics", "storage", "compute")
FILLED = {
    "{orderId}": "ord_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f",
    "{keyId}": "key_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f",
    "{cid}": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
}

Place = tuple[str, str, str]
"""Method (`SOCKET` for a WebSocket), path, scope."""


def places_of(app: Any, known: Collection[str] = OPEN) -> Iterator[Place]:
    """The protected routes of an application, but for those `known`. Raises AssertionError at one that is neither
    protected nor open."""
    for route in _flat(app.router.routes):
        path = getattr(route, "path", None)
        if path in known or isinstance(getattr(route, "endpoint", None), NotServed):
            continue
        assert isinstance(route, APIRoute | APIWebSocketRoute), f"what is {path}?"
        scopes = required_scopes(route.dependencies)
        assert len(scopes) == 1, f"{path} must require one scope, or be open"
        methods = route.methods if isinstance(route, APIRoute) else {"SOCKET"}
        for method in methods:
            yield method, _filled(route.path), scopes[0]


def _flat(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _flat(included.routes)


def _filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda name: FILLED.get(name[0], "any-1"), path)


def table() -> list[Place]:
    """The gateway's routes, from its one table."""
    for route in (*ROUTES, *SOCKETS):
        assert route.requires in SCOPES, f"{route.path} must require a scope"
    http = [(method, _filled(each.path), str(each.requires)) for each in ROUTES for method in each.methods]
    return [*http, *(("SOCKET", each.path, str(each.requires)) for each in SOCKETS)]


def places_of_gateway(app: Any) -> list[Place]:
    """What it serves itself, and what it forwards."""
    forwarded = {f"{PREFIX}/{{path:path}}", *(each.path for each in SOCKETS)}
    own = list(places_of(app, GATEWAY_OPEN | forwarded))
    assert {path for _, path, _ in own} > {keys.PATH}
    return [*own, *table()]


async def accepted(service: Any, places: list[Place], corpus: list[Forgery]) -> list[str]:
    """Where a forgery was not refused as one: by 401, or by 400 where there were two."""
    found = []
    for method, path, _ in places:
        for forgery in corpus:
            reply = await service.ask(method, path, forgery.headers)
            refused = reply.status in {400, 401} and (method == "HEAD" or reply.body["code"].startswith("auth."))
            if not refused or "www-authenticate" not in reply.headers:
                found.append(f"{method} {path}: {forgery.name}: {reply.status} {reply.body}")
    return found


async def turned_away(service: Any, places: list[Place], issuer: Issuer, wanted: bool) -> list[str]:
    """Where a genuine token with the scope does not pass (`wanted`), or passes without it."""
    found = []
    for method, path, scope in places:
        others = " ".join(each for each in SCOPES if each != scope)
        token = issuer.token(scope=scope if wanted else others).encode()
        reply = await service.ask(method, path, [(b"authorization", b"Bearer " + token)])
        again = await service.ask(method, path, [(b"authorization", b"Bearer " + token)])  # from the memo
        if again.status != reply.status:
            found.append(f"{method} {path}: {reply.status}, then {again.status}")
        if wanted and (reply.status in {401, 403} or reply.status >= 500):
            found.append(f"{method} {path}: {reply.status} {reply.body}")
        named = method == "HEAD" or reply.body.get("scope") == scope if reply.status == 403 else False
        if not wanted and not (named and f'scope="{scope}"' in reply.headers["www-authenticate"]):
            found.append(f"{method} {path}: {reply.status} {reply.body}")
    return found


@pytest.mark.parametrize("name", SERVICES)
async def test_no_service_accepts_a_forgery(name: str, start_service: Any, issuer: Issuer) -> None:
    corpus = [each for each in forgeries(issuer) if each.at != "edge"]
    async with start_service(name) as service:
        places = list(places_of(service.app))
        assert places

        assert await accepted(service, places, corpus) == []
        assert await turned_away(service, places, issuer, wanted=True) == []
        assert await turned_away(service, places, issuer, wanted=False) == []


async def test_the_gateway_accepts_no_forgery(start_hub: Any, issuer: Issuer) -> None:
    corpus = [each for each in forgeries(issuer) if each.at != "inside"]
    assert len(corpus) >= 60
    async with start_hub() as gateway:
        places = places_of_gateway(gateway.app)

        assert await accepted(gateway, places, corpus) == []
        assert await turned_away(gateway, places, issuer, wanted=True) == []
        assert await turned_away(gateway, places, issuer, wanted=False) == []


async def test_neither_does_its_express_lane(start_hub: Any, line: Any, issuer: Issuer) -> None:
    """Over sockets, where who is known is answered without the application: the genuine token first, so that it is."""
    corpus = [each for each in forgeries(issuer) if each.at != "inside"]
    async with start_hub() as gateway:
        places = [place for place in places_of_gateway(gateway.app) if place[0] != "SOCKET"]
        with closing(line(gateway)) as wire:
            assert await turned_away(wire, places, issuer, wanted=True) == []
            assert await accepted(wire, places, corpus) == []
            assert await turned_away(wire, places, issuer, wanted=False) == []
            assert await turned_away(wire, places, issuer, wanted=True) == []

        assert await express(gateway) >= len(places) / 2


async def express(gateway: Any) -> float:
    """How many requests the express lane has answered."""
    lines = (await gateway.ask("GET", "/metrics", [])).body.decode().splitlines()
    return sum(
        float(each.split(" ")[1]) for each in lines if each.startswith('cortex_gateway_lane_total{lane="express"')
    )


async def test_what_is_open_is_open_to_a_forger_too(start_hub: Any, issuer: Issuer) -> None:
    """A probe that sends a stale token is told how we are, and one more in a loop restarts nobody."""
    async with start_hub() as gateway:
        for path in ("/health/live", "/health/ready", "/health", "/metrics", "/openapi.json", "/docs"):
            for forgery in forgeries(issuer)[::40]:
                assert (await gateway.ask("GET", path, forgery.headers)).status == 200, (path, forgery.name)


async def test_a_path_that_is_not_served_is_not_found_whoever_asks(start_hub: Any) -> None:
    async with start_hub() as gateway:
        assert (await gateway.ask("GET", "/api/nothing", [])).status == 404
        assert (await gateway.ask("DELETE", "/api/orders", [])).status == 405
