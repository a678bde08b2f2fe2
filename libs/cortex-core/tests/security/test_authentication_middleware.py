"""The middleware: who asks stands in the context, a refusal waits until it matters, a socket's credential ends."""

from dataclasses import replace
from typing import Any

import pytest

from cortex_core.kernel import Context, Principal, current, use_context
from cortex_core.security import (
    ANONYMOUS,
    Authentication,
    AuthenticationUnavailable,
    Authenticator,
    Authorization,
    Forbidden,
    InvalidCredential,
    Memo,
    Unauthenticated,
    admit,
)
from cortex_core.testing import FakeClock

KIM = Principal("kim", "acme", frozenset({"orders:read"}), method="jwt")


class Reader:
    async def read(self, token: bytes) -> Principal:
        if token == b"broken":
            raise RuntimeError("a bug")
        if token != b"good":
            raise InvalidCredential("signature", "no")
        return KIM


class App:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Context]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, current()))


@pytest.fixture
def app() -> App:
    return App()


def authenticator(**options: Any) -> Authenticator:
    return Authenticator(Memo(FakeClock()), **{"jwt": Reader(), "internal": Reader(), **options})


async def ask(app: App, headers: list[tuple[bytes, bytes]], told: Authenticator, **scope: Any) -> tuple[Any, Context]:
    whole = {"type": "http", "method": "GET", "path": "/", "headers": headers, **scope}
    await Authentication(app, told)(whole, None, None)
    return app.calls[-1]


async def test_who_asks_stands_in_the_context_with_his_tenant(app: App) -> None:
    scope, context = await ask(app, [(b"authorization", b"Bearer good")], authenticator())

    assert (context.principal, context.tenant, context.principal_token) == (KIM, "acme", None)
    assert admit_in(scope, context, "orders:read") == KIM


async def test_an_internal_token_is_kept_to_be_passed_on(app: App) -> None:
    _, context = await ask(app, [(b"x-cortex-principal", b"good")], authenticator())

    assert (context.principal, context.principal_token) == (KIM, "good")
    assert "good" not in repr(context)


async def test_at_the_edge_a_caller_s_word_for_an_internal_token_is_not_passed_on(app: App) -> None:
    headers = [(b"authorization", b"Bearer good"), (b"x-cortex-principal", b"stolen")]
    _, context = await ask(app, headers, authenticator(edge=True))

    assert (context.principal, context.principal_token) == (KIM, None)


async def test_a_refusal_waits_until_it_matters(app: App) -> None:
    scope, context = await ask(app, [(b"authorization", b"Bearer bad")], authenticator(anonymous=ANONYMOUS))

    assert context.principal is None
    with pytest.raises(InvalidCredential):
        admit_in(scope, context, "orders:read")


async def test_nobody_in_particular_is_refused_where_somebody_has_to_be(app: App) -> None:
    scope, context = await ask(app, [], authenticator())

    with pytest.raises(Unauthenticated):
        admit_in(scope, context, "orders:read")


async def test_a_bug_is_an_outage_and_nobody_s_permission(app: App) -> None:
    scope, context = await ask(app, [(b"authorization", b"Bearer broken")], authenticator(anonymous=ANONYMOUS))

    assert context.principal is None
    with pytest.raises(AuthenticationUnavailable):
        admit_in(scope, context, "orders:read")


async def test_a_principal_of_somebody_around_us_is_not_taken_over(app: App) -> None:
    with use_context(principal=KIM):
        _, context = await ask(app, [], authenticator())

    assert context.principal is None


async def test_anonymous_callers_keep_the_tenant_they_named_and_are_one_object_each(app: App) -> None:
    told = authenticator(anonymous=ANONYMOUS)
    middleware = Authentication(app, told)
    for tenant in ("public", "acme", "acme"):
        with use_context(tenant=tenant):
            await middleware({"type": "http", "headers": []}, None, None)

    public, acme, again = (context.principal for _, context in app.calls)
    assert public is ANONYMOUS
    assert acme == replace(ANONYMOUS, tenant="acme")
    assert acme is again


async def test_what_the_header_said_of_a_tenant_is_forgotten_where_somebody_has_one(app: App) -> None:
    known, _ = await ask(app, [(b"authorization", b"Bearer good")], authenticator(), **{"cortex.unknown_tenant": None})
    nobody, _ = await ask(app, [], authenticator(anonymous=ANONYMOUS), **{"cortex.unknown_tenant": None})

    assert "cortex.unknown_tenant" not in known
    assert "cortex.unknown_tenant" in nobody


@pytest.mark.parametrize(
    ("offered", "kept"),
    [(["cortex.bearer.good", "cortex.events"], ["cortex.events"]), (["cortex.bearer.good"], []), (["x"], ["x"])],
)
async def test_a_socket_s_credential_goes_no_further_as_a_subprotocol(
    app: App, offered: list[str], kept: list[str]
) -> None:
    headers = [(b"host", b"x"), (b"sec-websocket-protocol", ", ".join(offered).encode())]
    scope, context = await ask(app, headers, authenticator(), type="websocket", subprotocols=offered)

    assert scope["subprotocols"] == kept
    names = dict(scope["headers"])
    assert names.get(b"sec-websocket-protocol", b"") == ", ".join(kept).encode()
    shown = "cortex.bearer.good" in offered
    assert (names.get(b"authorization"), context.principal) == ((b"Bearer good", KIM) if shown else (None, None))


async def test_a_lifespan_passes(app: App) -> None:
    await Authentication(app, authenticator())({"type": "lifespan"}, None, None)
    await Authorization(app, lambda scope: "orders:read")({"type": "lifespan"}, None, None)

    assert len(app.calls) == 2


async def test_what_a_request_needs_is_looked_at_before_it_goes_on(app: App) -> None:
    needs = {"/open": None, "/read": "orders:read", "/write": "orders:write"}
    inner = Authorization(app, lambda scope: needs[scope["path"]])
    stack = Authentication(inner, authenticator())  # type: ignore[arg-type]  # its scope is a plain dict here
    headers = [(b"authorization", b"Bearer good")]

    for path in ("/open", "/read"):
        await stack({"type": "http", "path": path, "headers": headers}, None, None)
    with pytest.raises(Forbidden):
        await stack({"type": "http", "path": "/write", "headers": headers}, None, None)
    with pytest.raises(Unauthenticated):
        await stack({"type": "http", "path": "/read", "headers": []}, None, None)
    assert len(app.calls) == 2


def admit_in(scope: Any, context: Context, wanted: str) -> Principal:
    with use_context(context):
        return admit(scope, wanted)


def test_without_the_middleware_nobody_is_admitted() -> None:
    with pytest.raises(Unauthenticated):
        admit({}, "orders:read")
