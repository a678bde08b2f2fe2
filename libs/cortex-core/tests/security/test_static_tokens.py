"""Static tokens: a file says who they are, strictly, and nothing shows one."""

import json
from pathlib import Path
from typing import Any

import pytest

from cortex_core.kernel import Principal
from cortex_core.security import Authenticator, InvalidCredential, Memo
from cortex_core.security.static_tokens import MAX_BYTES, MAX_TOKENS, UnusableTokens, parse_static_tokens
from cortex_core.testing import FakeClock

TOKEN = "st_" + "canary" * 6
OTHER = "st_" + "b" * 32


def entry(**changes: Any) -> dict[str, Any]:
    return {"token": TOKEN, "sub": "helm", "scopes": ["orders:read"], **changes}


def of_a_file(file: str, **changes: Any) -> dict[str, Any]:
    return {"tokenFile": file, "sub": "helm", "scopes": ["orders:read"], **changes}


def written(*entries: Any) -> bytes:
    return json.dumps(list(entries)).encode()


async def test_a_token_is_known_by_what_the_file_says_of_it() -> None:
    tokens = parse_static_tokens(written(entry(roles=["viewer"], tenant="acme", plan="pro"), entry(token=OTHER)))

    principal = await tokens.read(TOKEN.encode())

    assert principal == Principal(
        "helm",
        tenant="acme",
        scopes=frozenset({"orders:read", "analytics:read", "files:read", "notifications:read"}),
        roles=frozenset({"viewer"}),
        method="static-token",
        plan="pro",
    )
    assert (await tokens.read(OTHER.encode())).scopes == {"orders:read"}


async def test_its_text_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    """What a token may is said where it can be read, and rolls back; the text is kept elsewhere."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "other").write_text(OTHER)
    said = written(of_a_file("token"), of_a_file(str(tmp_path / "other"), sub="test"))

    tokens = parse_static_tokens(said, folder=tmp_path)

    assert (await tokens.read(TOKEN.encode())).subject == "helm"
    assert (await tokens.read(OTHER.encode())).subject == "test"


@pytest.mark.parametrize(
    ("file", "changes", "why"),
    [
        (TOKEN, {"tokenFile": "none"}, "token 1: its tokenFile cannot be read: No such file"),
        (TOKEN, {"tokenFile": "."}, "its tokenFile cannot be read: Is a directory"),
        (TOKEN, {"tokenFile": TOKEN}, "its tokenFile cannot be read"),
        (TOKEN, {"tokenFile": "a\0b"}, "tokenFile must be a path"),
        (TOKEN, {"tokenFile": ""}, "tokenFile must be a path"),
        (TOKEN, {"tokenFile": 1}, "tokenFile must be a path"),
        (TOKEN, {"token": TOKEN}, "it has token and tokenFile"),
        ("", {}, "token must be st_ and 32"),
        (TOKEN + "\n" + OTHER, {}, "token must be st_ and 32"),
        (TOKEN + "a" * 300, {}, "token must be st_ and 32"),
        ("st_dev" + "canary" * 6, {}, "it was made for development"),
    ],
)
def test_a_file_of_a_token_that_is_wrong_is_refused_and_shows_no_token(
    file: str, changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(file)

    with pytest.raises(UnusableTokens, match=why) as refused:
        parse_static_tokens(written({**of_a_file("token"), **changes}), folder=tmp_path)

    assert "canary" not in f"{refused.value} {refused.value.__cause__!r}"


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "y", TOKEN.upper(), "st_", OTHER])
async def test_no_other_token_is(token: str) -> None:
    with pytest.raises(InvalidCredential) as refused:
        await parse_static_tokens(written(entry())).read(token.encode())

    assert refused.value.reason == "unknown"


async def test_the_authenticator_tells_them_by_how_they_begin() -> None:
    authenticator = Authenticator(Memo(FakeClock()), edge=True)
    headers = [(b"authorization", b"Bearer " + TOKEN.encode())]
    with pytest.raises(InvalidCredential, match="not accepted here"):
        await authenticator.authenticate(headers)

    authenticator = Authenticator(Memo(FakeClock()), edge=True)
    authenticator.accept_static(parse_static_tokens(written(entry())))
    found = await authenticator.authenticate(headers)

    assert (found.subject, found.method) == ("helm", "static-token")
    assert authenticator.recall(headers) == found


async def test_a_token_of_a_tenant_that_is_not_served_is_refused() -> None:
    authenticator = Authenticator(Memo(FakeClock()), edge=True, tenants={"public"})
    authenticator.accept_static(parse_static_tokens(written(entry(tenant="acme"))))

    with pytest.raises(InvalidCredential, match="tenant"):
        await authenticator.authenticate([(b"authorization", b"Bearer " + TOKEN.encode())])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"),
        (TOKEN.encode(), "no JSON"),
        (b"[" * 60_000, "no JSON"),
        (b'[{"token":1,"token":2}]', "no JSON"),
        (b"{}", "a list of 1 to"),
        (b"[]", "a list of 1 to"),
        (written(*[entry()] * (MAX_TOKENS + 1)), "a list of 1 to"),
        (b" " * (MAX_BYTES + 1), "more than"),
        (written(TOKEN), "token 1: it is no JSON object"),
        (written(entry(), entry()), "token 2: it is there twice"),
        (written(entry(scope="orders:read")), "token 1: 'scope' is no member of it"),
        (written({**entry(), TOKEN: 1}), "token 1: something is no member of it"),
        (written({"token": TOKEN, "scopes": ["orders:read"]}), "sub is missing"),
        (written(entry(sub="")), "sub is missing"),
        (written({"sub": "helm"}), "token must be st_ and 32"),
        (written(entry(token=TOKEN[:34])), "token must be st_ and 32"),
        (written(entry(token=TOKEN + "-")), "token must be st_ and 32"),
        (written(entry(token="ck_" + "a" * 40)), "token must be st_ and 32"),
        (written(entry(scopes=["orders:raed"])), "'orders:raed' is none of the scopes: analytics:read"),
        (written(entry(scopes=[TOKEN])), "something is none of the scopes"),
        (written(entry(scopes="orders:read")), "scopes is missing or not"),
        (written(entry(roles=["boss"])), "'boss' is none of the roles: admin, operator, viewer"),
        (written(entry(roles="admin")), "roles is missing or not"),
        (written(entry(scopes=[])), "it may do nothing"),
        (written(entry(tenant="Acme")), "tenant is missing or not"),
        (written(entry(plan=1)), "plan is missing or not"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_shows_no_token(data: bytes, why: str) -> None:
    with pytest.raises(UnusableTokens, match=why) as refused:
        parse_static_tokens(data)

    assert "canary" not in f"{refused.value} {refused.value.__cause__!r}"


def test_production_refuses_what_was_made_for_development() -> None:
    made = written(entry(token="st_dev" + "a" * 40))

    assert len(parse_static_tokens(made, development=True).principals) == 1
    with pytest.raises(UnusableTokens, match="token 1: it was made for development"):
        parse_static_tokens(made)


def test_tokens_show_nothing_of_themselves() -> None:
    tokens = parse_static_tokens(written(entry()))

    assert "canary" not in f"{tokens!r} {vars(tokens)!r}"
