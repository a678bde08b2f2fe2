"""Whose pages may read what: preflights are answered here, everything else is told who may see it."""

from typing import Any

import pytest

from cortex_core.asgi import Cors, CorsPolicy, Problems
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing.exchange import exchange

APP, OTHER = "https://app.example", "https://other.example"
PREFLIGHT = [("Origin", APP), ("Access-Control-Request-Method", "POST")]


class Refused(CortexError):
    code, kind = "test.refused", Kind.RATE_LIMITED


class Site:
    def __init__(self, headers: Any = (), error: Exception | None = None) -> None:
        self.headers, self.error, self.asked = list(headers), error, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"{}"})


def cors(site: Any, *origins: str, **more: Any) -> Cors:
    return Cors(site, CorsPolicy(origins or (APP,), **more))


def granted(answer: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers if name.startswith(b"access-control-")}


class TestPreflights:
    async def test_one_is_answered_here(self) -> None:
        site = Site()
        app = cors(site, headers=("Authorization", "Content-Type"), methods=("GET", "POST"), max_age=60)

        answer = await exchange(app, "OPTIONS", "/", PREFLIGHT)

        assert (answer.status, answer.body, site.asked) == (204, b"", 0)
        assert granted(answer) == {
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "Authorization, Content-Type",
            "access-control-max-age": "60",
        }
        assert answer.header("vary") == "Origin"

    async def test_one_of_another_origin_is_refused_and_granted_nothing(self) -> None:
        site = Site()

        answer = await exchange(cors(site), "OPTIONS", "/", [("Origin", OTHER), PREFLIGHT[1]])

        assert (answer.status, site.asked, granted(answer)) == (403, 0, {})
        assert b"cors.origin-not-allowed" in answer.body
        assert answer.header("vary") == "Origin"

    @pytest.mark.parametrize("headers", [[("Origin", APP)], [PREFLIGHT[1]], []])
    async def test_other_options_go_on(self, headers: Any) -> None:
        site = Site()

        await exchange(cors(site), "OPTIONS", "/", headers)

        assert site.asked == 1


class TestAnswers:
    async def test_an_allowed_origin_may_read(self) -> None:
        answer = await exchange(cors(Site(), exposed=("ETag", "Location")), "GET", "/", [("Origin", APP)])

        assert granted(answer) == {
            "access-control-allow-origin": APP,
            "access-control-expose-headers": "ETag, Location",
        }

    @pytest.mark.parametrize("origin", [OTHER, "null", "https://app.example.evil", "HTTPS://APP.EXAMPLE", APP + ":443"])
    async def test_another_gets_the_answer_and_no_grant(self, origin: str) -> None:
        answer = await exchange(cors(Site()), "GET", "/", [("Origin", origin)])

        assert (answer.status, granted(answer), answer.header("vary")) == (200, {}, "Origin")

    async def test_two_origins_are_none(self) -> None:
        answer = await exchange(cors(Site()), "GET", "/", [("Origin", APP), ("Origin", OTHER)])

        assert granted(answer) == {}

    async def test_every_answer_says_that_it_varies(self) -> None:
        answer = await exchange(cors(Site([(b"vary", b"Accept-Encoding")])), "GET", "/")

        assert answer.header("vary") == "Accept-Encoding, Origin"
        assert len([name for name, _ in answer.headers if name == b"vary"]) == 1

    @pytest.mark.parametrize("said", [b"*", b"origin", b"Accept, Origin"])
    async def test_what_varies_already_is_left(self, said: bytes) -> None:
        assert (await exchange(cors(Site([(b"vary", said)])), "GET", "/")).header("vary") == said.decode()

    async def test_refusals_may_be_read_as_well(self) -> None:
        app = cors(Problems(Site(error=Refused("no")), on_error=lambda scope, error: None))

        answer = await exchange(app, "GET", "/", [("Origin", APP)])

        assert (answer.status, granted(answer)) == (429, {"access-control-allow-origin": APP})

    async def test_what_the_application_grants_does_not_count(self) -> None:
        answer = await exchange(cors(Site([(b"access-control-allow-origin", b"*")])), "GET", "/", [("Origin", OTHER)])

        assert granted(answer) == {}

    async def test_any_origin_is_any(self) -> None:
        answer = await exchange(cors(Site(), "*"), "GET", "/", [("Origin", OTHER)])

        assert (granted(answer), answer.header("vary")) == ({"access-control-allow-origin": "*"}, None)

    async def test_credentials_are_for_named_origins(self) -> None:
        answer = await exchange(cors(Site(), credentials=True), "GET", "/", [("Origin", APP)])

        assert granted(answer)["access-control-allow-credentials"] == "true"

    async def test_sockets_pass(self) -> None:
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])

        await exchange(cors(app), "GET", "/", [("Origin", OTHER)], type="websocket")

        assert seen == ["websocket"]


@pytest.mark.parametrize(
    "origin",
    [
        *("", "app.example", "https://app.example/", "https://app.example/path", "HTTPS://app.example", "null"),
        *(
            "https://app.example:443",
            "http://app.example:80",
            "https://*.example",
            "https://a b",
            "https://app.example?",
        ),
    ],
)
def test_what_no_browser_would_write_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        CorsPolicy([origin])


@pytest.mark.parametrize(
    "settings",
    [
        {"origins": []},
        {"origins": ["*"], "credentials": True},
        {"origins": ["*", APP]},
        {"origins": [APP], "methods": ["GET POST"]},
        {"origins": [APP], "headers": ["a,b"]},
        {"origins": [APP], "exposed": ["*"], "credentials": True},
        {"origins": [APP], "max_age": -1},
    ],
)
def test_a_policy_that_cannot_be_is_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"origins|allowed|max_age"):
        CorsPolicy(**settings)


@pytest.mark.parametrize("origin", [APP, "http://localhost:5173", "https://[::1]:8443", "http://127.0.0.1:3000"])
def test_origins_as_browsers_write_them(origin: str) -> None:
    assert CorsPolicy([origin]).allows(origin.encode())
