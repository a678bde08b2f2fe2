"""Every answer tells the browser what it may do with it, and no two answers share a nonce."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import CSPBuilder, HeaderPolicy, Hsts, SecurityHeaders
from cortex_core.asgi.security_headers import NONCE
from cortex_core.testing.exchange import Exchange, exchange

DATA = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), serial=(), usb=()"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "origin-agent-cluster": "?1",
}
PAGE = HeaderPolicy(csp=CSPBuilder().default_src("'self'").build())
HSTS = "max-age=31536000"


def answering(*headers: tuple[bytes, bytes]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


def said(answer: Exchange) -> dict[str, str]:
    """The headers by name. Each is there once."""
    assert len(dict(answer.headers)) == len(answer.headers)
    return {name.decode(): value.decode() for name, value in answer.headers}


class TestWhatIsSent:
    async def test_data_is_told_to_be_no_page(self) -> None:
        answer = await exchange(SecurityHeaders(answering((b"content-type", b"application/json"))))

        assert said(answer) == {"content-type": "application/json"} | DATA
        assert (answer.status, answer.body) == (200, b"{}")

    async def test_an_answer_without_headers_gets_them_too(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 204})

        assert said(await exchange(SecurityHeaders(app))) == DATA

    async def test_headers_may_come_as_any_iterable_of_pairs(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": ([b"x-a", b"b"] for _ in range(1))})

        assert said(await exchange(SecurityHeaders(app))) == {"x-a": "b"} | DATA

    async def test_a_message_that_is_sent_again_does_not_grow(self) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start)

        await exchange(SecurityHeaders(app))

        assert start["headers"] == [(b"x-a", b"b")]

    async def test_what_is_none_is_not_sent(self) -> None:
        nothing = HeaderPolicy(
            csp=None,
            hsts=None,
            referrer=None,
            permissions=None,
            opener=None,
            resource=None,
            frame_options=None,
            nosniff=False,
            origin_agent_cluster=False,
        )

        assert said(await exchange(SecurityHeaders(answering(), policy=nothing), scheme="https")) == {}

    async def test_every_value_can_be_another(self) -> None:
        policy = HeaderPolicy(
            csp=CSPBuilder().img_src("'self'").build(),
            csp_report_only=CSPBuilder().img_src("'none'").reports("/csp").build(report_only=True),
            referrer="strict-origin",
            permissions={"geolocation": ["self", "https://a.example"], "camera": []},
            opener="same-origin-allow-popups",
            resource="cross-origin",
            embedder="require-corp",
            frame_options="SAMEORIGIN",
        )

        assert said(await exchange(SecurityHeaders(answering(), policy=policy))) == {
            "content-security-policy": "img-src 'self'",
            "content-security-policy-report-only": "img-src 'none'; report-uri /csp; report-to csp",
            "reporting-endpoints": 'csp="/csp"',
            "referrer-policy": "strict-origin",
            "permissions-policy": 'camera=(), geolocation=(self "https://a.example")',
            "cross-origin-opener-policy": "same-origin-allow-popups",
            "cross-origin-resource-policy": "cross-origin",
            "cross-origin-embedder-policy": "require-corp",
            "x-frame-options": "SAMEORIGIN",
            "x-content-type-options": "nosniff",
            "origin-agent-cluster": "?1",
        }

    @pytest.mark.parametrize("kind", ["websocket", "lifespan"])
    async def test_what_is_no_answer_passes_through(self, kind: str) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept", "headers": []})

        answer = await exchange(SecurityHeaders(app), type=kind)

        assert answer.messages == [{"type": "websocket.accept", "headers": []}]

    @pytest.mark.parametrize(("scheme", "hsts"), [("ws", []), ("wss", [HSTS])])
    async def test_a_refused_websocket_is_answered_like_any_request(self, scheme: str, hsts: list[str]) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})

        answer = await exchange(SecurityHeaders(app), type="websocket", scheme=scheme)

        sent = {name.decode(): value.decode() for name, value in answer.messages[0]["headers"]}
        assert [sent.pop(name) for name in ("strict-transport-security",) if name in sent] == hsts
        assert sent == DATA


class TestHsts:
    @pytest.mark.parametrize(
        ("scheme", "tls_in_front", "sent"),
        [("http", False, None), ("https", False, HSTS), ("http", True, HSTS), ("https", True, HSTS)],
    )
    async def test_it_is_sent_over_tls_alone(self, scheme: str, tls_in_front: bool, sent: str | None) -> None:
        answer = await exchange(SecurityHeaders(answering(), tls_in_front=tls_in_front), scheme=scheme)

        assert answer.header("strict-transport-security") == sent

    async def test_a_scope_without_a_scheme_is_no_tls(self) -> None:
        async def without(scope: Any, receive: Any, send: Any) -> None:
            del scope["scheme"]  # optional, says ASGI
            await SecurityHeaders(answering())(scope, receive, send)

        assert said(await exchange(without)) == DATA

    @pytest.mark.parametrize(
        ("hsts", "text"),
        [
            (Hsts(), "max-age=31536000"),
            (Hsts(max_age=0), "max-age=0"),
            (Hsts(include_subdomains=True), "max-age=31536000; includeSubDomains"),
            (Hsts(63_072_000, include_subdomains=True, preload=True), "max-age=63072000; includeSubDomains; preload"),
        ],
    )
    def test_it_reads_as_the_rfc_writes_it(self, hsts: Hsts, text: str) -> None:
        assert str(hsts) == text


class TestNonces:
    async def test_the_page_and_the_header_have_the_same_nonce(self) -> None:
        answer = await exchange(SecurityHeaders(answering(), policy=PAGE))

        nonce = answer.scope[NONCE]
        assert re.fullmatch(r"[0-9a-f]{32}", nonce)
        assert said(answer)["content-security-policy"] == (
            f"default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'self'; "
            f"style-src 'nonce-{nonce}' 'self'; object-src 'none'; base-uri 'none'"
        )

    async def test_no_two_answers_share_one(self) -> None:
        app = SecurityHeaders(answering(), policy=PAGE)

        first, second = await exchange(app), await exchange(app)

        assert first.scope[NONCE] != second.scope[NONCE]
        assert first.header("content-security-policy") != second.header("content-security-policy")

    async def test_none_is_made_where_no_policy_has_one(self) -> None:
        assert NONCE not in (await exchange(SecurityHeaders(answering()))).scope

    async def test_a_policy_on_trial_has_the_same_nonce(self) -> None:
        trial = CSPBuilder().script_src("'self'").build(report_only=True)
        answer = await exchange(SecurityHeaders(answering(), policy=replace(PAGE, csp_report_only=trial)))

        assert f"'nonce-{answer.scope[NONCE]}'" in said(answer)["content-security-policy-report-only"]

    async def test_a_policy_on_trial_without_a_nonce_stands_beside_one_with(self) -> None:
        trial = CSPBuilder().img_src("'none'").build(report_only=True)
        answer = await exchange(SecurityHeaders(answering(), policy=replace(PAGE, csp_report_only=trial)))

        assert said(answer)["content-security-policy-report-only"] == "img-src 'none'"
        assert answer.scope[NONCE] in said(answer)["content-security-policy"]


class TestRoutes:
    @pytest.mark.parametrize(
        ("path", "is_page"),
        [
            ("/docs", True),
            ("/docs/", True),
            ("/docs/intro", True),
            ("/docs/assets", False),
            ("/docs/assets/ui.js", False),
            ("/docsX", False),
            ("/", False),
            ("", False),
            ("/api/docs", False),
        ],
    )
    async def test_the_longest_prefix_of_whole_segments_decides(self, path: str, is_page: bool) -> None:
        app = SecurityHeaders(answering(), routes={"/docs": PAGE, "/docs/assets": HeaderPolicy()})

        answer = await exchange(app, path=path)

        assert (NONCE in answer.scope) == is_page
        assert ("script-src" in said(answer)["content-security-policy"]) == is_page

    async def test_a_prefix_that_is_no_path_is_refused(self) -> None:
        with pytest.raises(ValueError, match="begins with '/'"):
            SecurityHeaders(answering(), routes={"docs": PAGE})


class TestWhatTheApplicationSays:
    OWN = ((b"content-security-policy", b"sandbox"), (b"x-a", b"b"), (b"x-frame-options", b"SAMEORIGIN"))

    async def test_it_stays(self) -> None:
        answer = await exchange(SecurityHeaders(answering(*self.OWN)))

        own = {name.decode(): value.decode() for name, value in self.OWN}
        assert said(answer) == DATA | own

    async def test_it_stays_also_where_it_is_said_twice(self) -> None:
        answer = await exchange(SecurityHeaders(answering(*self.OWN, self.OWN[0])))

        assert answer.header("content-security-policy") == "sandbox, sandbox"

    async def test_a_page_that_brings_its_policy_keeps_it_under_one_with_a_nonce(self) -> None:
        answer = await exchange(SecurityHeaders(answering(self.OWN[0]), policy=PAGE))

        assert said(answer)["content-security-policy"] == "sandbox"

    async def test_it_is_replaced_where_it_is_not_trusted(self) -> None:
        hsts = (b"strict-transport-security", b"max-age=1")

        answer = await exchange(SecurityHeaders(answering(*self.OWN, hsts), override=True))

        assert said(answer) == {"x-a": "b"} | DATA

    @pytest.mark.parametrize(("override", "held"), [(False, "sandbox"), (True, DATA["content-security-policy"])])
    async def test_a_name_in_capitals_is_the_same_name(self, override: bool, held: str) -> None:
        app = SecurityHeaders(answering((b"Content-Security-Policy", b"sandbox")), override=override)

        answer = await exchange(app)

        assert [value.decode() for name, value in answer.headers if name.lower() == b"content-security-policy"] == [
            held
        ]

    @pytest.mark.parametrize("override", [True, False])
    @pytest.mark.parametrize("server", [b"server", b"Server", b"SERVER"])
    async def test_what_reveals_the_software_is_removed(self, override: bool, server: bytes) -> None:
        revealing = ((server, b"thing/1.0"), (b"X-Powered-By", b"thing"), (b"x-aspnet-version", b"4"))

        answer = await exchange(SecurityHeaders(answering(*revealing, (b"x-a", b"b")), override=override))

        assert said(answer) == {"x-a": "b"} | DATA


@given(
    headers=st.lists(
        st.tuples(st.sampled_from([b"server", b"x-frame-options", b"content-security-policy", b"x-a"]), st.binary())
    ),
    path=st.text(max_size=20),
    override=st.booleans(),
)
async def test_whatever_the_application_says_each_header_is_said_by_one_of_us(
    headers: list[tuple[bytes, bytes]], path: str, override: bool
) -> None:
    app = SecurityHeaders(answering(*headers), routes={"/": PAGE, "/api": HeaderPolicy()}, override=override)

    answer = await exchange(app, path=path, raw_path=b"")

    ours = {name.encode() for name in DATA}
    theirs = [each for each in headers if each[0] != b"server" and not (override and each[0] in ours)]
    assert answer.headers[: len(theirs)] == theirs
    added = [name for name, _ in answer.headers[len(theirs) :]]
    assert sorted(added) == sorted(ours - {name for name, _ in theirs})
