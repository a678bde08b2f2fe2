"""While nobody has to say who he is, a page changes things only where it is ours: its visitor did not ask."""

from typing import Any

import pytest

from cortex_core.asgi import ForeignPage, OwnPages
from cortex_core.kernel import Principal, use_context
from cortex_core.security import ANONYMOUS

KIM = Principal("kim", "public", frozenset({"files:write"}), method="jwt")
FRIEND = "https://app.example"


async def passes(
    *headers: tuple[str, str],
    method: str = "POST",
    principal: Principal | None = ANONYMOUS,
    token: str | None = None,
    kind: str = "http",
) -> bool:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    told = OwnPages(app, allows=lambda origin: origin == FRIEND.encode(), setting="GATEWAY_CORS_ORIGINS")
    lines = [(name.lower().encode(), value.encode()) for name, value in (("Host", "hub:3000"), *headers)]
    try:
        with use_context(principal=principal, principal_token=token):
            await told({"type": kind, "method": method, "headers": lines}, None, None)  # type: ignore[arg-type]
    except ForeignPage as refusal:
        assert not reached
        assert "GATEWAY_CORS_ORIGINS" in str(refusal)
        return False
    return bool(reached)


def site(value: str) -> tuple[str, str]:
    return "Sec-Fetch-Site", value


def origin(value: str) -> tuple[str, str]:
    return "Origin", value


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [origin("http://hub:3000")],
        [origin("http://HUB:3000"), site("same-origin")],
        [origin("https://hub:3000"), site("same-origin")],
        [origin("http://hub.example"), ("X-Forwarded-Host", "hub.example"), site("same-origin")],
        [site("same-origin")],
        [site("none")],
        [origin("null"), site("same-origin")],  # a report of ours: our pages tell nobody where they are
        [origin(FRIEND)],
        [origin(FRIEND), site("cross-site")],
        [origin(FRIEND), site("same-site")],
    ],
)
async def test_who_is_no_page_or_a_page_of_ours_or_one_that_may_ask_passes(headers: list[tuple[str, str]]) -> None:
    assert await passes(*headers)


FOREIGN = [
    [site("cross-site")],
    [site("same-site")],
    [site("something-new")],
    [origin("http://evil.example")],
    [origin("http://evil.example"), site("cross-site")],
    [origin("http://evil.example"), site("same-origin")],
    [origin("http://hub:3000"), site("cross-site")],
    [origin("http://hub:3001")],
    [origin("http://hub")],
    [origin("null")],
    [origin("null"), site("none")],
    [origin("hub:3000")],
    [origin("")],
    [origin("http://hub:3000"), origin("http://hub:3000")],
    [origin(FRIEND), origin(FRIEND)],
    [site("same-origin"), site("same-origin")],
    [origin("https://app.example.evil.example")],
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_foreign_page_changes_nothing(headers: list[tuple[str, str]]) -> None:
    assert not await passes(*headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"])
async def test_whatever_the_method_that_may_change_something(method: str) -> None:
    assert not await passes(site("cross-site"), method=method)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_it_may_look_where_its_browser_lets_it(method: str) -> None:
    assert await passes(site("cross-site"), origin("http://evil.example"), method=method)


async def test_who_says_who_he_is_was_asked_for_by_himself() -> None:
    """No browser sends `Authorization` by itself."""
    assert await passes(site("cross-site"), principal=KIM)


async def test_whom_the_gateway_vouches_for_it_has_judged() -> None:
    assert await passes(site("cross-site"), token="signed")


async def test_who_has_shown_something_bad_is_refused_for_that() -> None:
    assert await passes(site("cross-site"), principal=None)


async def test_sockets_are_their_services_to_judge() -> None:
    assert await passes(origin("http://evil.example"), kind="websocket")
