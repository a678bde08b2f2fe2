"""What browsers report becomes records; what anybody else sends becomes nothing."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import CspReports, CspViolation
from cortex_core.asgi.csp import DIRECTIVES
from cortex_core.asgi.csp_reports import LEGACY, REPORTING, parse_reports
from cortex_core.testing.exchange import Exchange, exchange

OLD = {
    "csp-report": {
        "document-uri": "https://hub.example/docs?user=ada#top",
        "referrer": "https://mail.example/ada",
        "violated-directive": "script-src-elem",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'",
        "disposition": "enforce",
        "blocked-uri": "https://evil.example/x.js?cookie=abc",
        "line-number": 12,
        "column-number": 3,
        "source-file": "https://hub.example/docs",
        "status-code": 200,
        "script-sample": "",
    }
}
BODY: dict[str, Any] = {
    "documentURL": "https://hub.example/docs?user=ada#top",
    "referrer": "https://mail.example/ada",
    "blockedURL": "inline",
    "effectiveDirective": "script-src-attr",
    "originalPolicy": "default-src 'self'",
    "sourceFile": "https://hub.example/docs",
    "sample": "alert(1)",
    "disposition": "report",
    "statusCode": 200,
    "lineNumber": 12,
    "columnNumber": 3,
}
NEW = {
    "type": "csp-violation",
    "age": 10,
    "url": "https://hub.example/docs?user=ada",
    "user_agent": "Mozilla/5.0",
    "body": BODY,
}
SEEN_NEW = CspViolation(
    directive="script-src-attr",
    disposition="report",
    document="https://hub.example/docs",
    blocked="inline",
    source="https://hub.example/docs",
    line=12,
    column=3,
    status=200,
    sample="alert(1)",
)
SEEN_OLD = replace(
    SEEN_NEW,
    directive="script-src-elem",
    disposition="enforce",
    blocked="https://evil.example/x.js",
    sample="",
)
NOTHING = CspViolation("other", "enforce", "", "", "", 0, 0, 0, "")


def parsed(told: Any, media_type: str = REPORTING) -> tuple[CspViolation, ...]:
    return parse_reports(media_type, json.dumps(told).encode())


def changed(**body: Any) -> CspViolation:
    """The record of a report whose members are these."""
    (violation,) = parsed({"type": "csp-violation", "body": BODY | body})
    return violation


class TestRecords:
    def test_both_forms_become_the_same_record(self) -> None:
        assert parsed(OLD, LEGACY) == (SEEN_OLD,)
        assert parsed([NEW]) == (SEEN_NEW,)

    def test_a_single_report_without_its_list_is_taken(self) -> None:
        assert parsed(NEW) == (SEEN_NEW,)

    def test_reports_of_other_things_are_passed_over(self) -> None:
        other = {"type": "deprecation", "body": {"id": "x"}}

        assert parsed([other, NEW, "?", None, {"type": "csp-violation", "body": "?"}, NEW]) == (SEEN_NEW, SEEN_NEW)

    def test_no_more_than_the_limit_are_read(self) -> None:
        assert len(parse_reports(REPORTING, json.dumps([NEW] * 100).encode(), limit=3)) == 3
        assert len(parsed([NEW] * 100)) == 32

    def test_what_is_missing_is_empty(self) -> None:
        assert parsed({"csp-report": {}}, LEGACY) == (NOTHING,)
        assert parsed({"type": "csp-violation", "body": {}}) == (NOTHING,)

    def test_older_browsers_send_the_sources_with_the_directive(self) -> None:
        (violation,) = parsed({"csp-report": {"violated-directive": "img-src 'self' https:"}}, LEGACY)

        assert violation.directive == "img-src"

    @pytest.mark.parametrize("directive", ["made-up", "", 7, None, "script-src\n"])
    def test_a_directive_is_one_of_csps_or_other(self, directive: Any) -> None:
        assert changed(effectiveDirective=directive).directive in {"other", "script-src"}
        assert changed(effectiveDirective="made-up").directive == "other"

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("https://user:secret@a.example:8443/p;x?q#f", "https://a.example:8443/p;x"),
            ("http://[::1]:8000/p?q", "http://[::1]:8000/p"),
            ("wss://a.example/ws?token=t", "wss://a.example/ws"),
            ("data:text/html,secret", "data"),
            ("blob:https://a.example/1b", "blob"),
            ("chrome-extension://abc/secret", "chrome-extension"),
            ("eval", "eval"),
            ("inline?x#y", "inline"),
            ("//user:secret@a.example/p", "/p"),
            ("http://[broken", ""),
            ("http://a.example:99999/", ""),
            ("https:", "https://"),
            ("", ""),
            (7, ""),
        ],
    )
    def test_a_url_says_where_and_nothing_of_whom(self, url: Any, kept: str) -> None:
        assert changed(blockedURL=url).blocked == kept

    @pytest.mark.parametrize(
        ("number", "kept"),
        [(0, 0), (-1, 0), (2**31 - 1, 2**31 - 1), (10**30, 2**31 - 1), (True, 0), (1.5, 0), ("1", 0)],
    )
    def test_a_number_is_whole_and_bounded(self, number: Any, kept: int) -> None:
        assert changed(lineNumber=number).line == kept

    def test_text_is_bounded_and_printable(self) -> None:
        assert changed(sample="a\n\x1b[31m\u202e" + "b" * 100).sample == "a��[31m�" + "b" * 32
        assert len(changed(documentURL="https://a.example/" + "b" * 5000).document) == 1024


class TestGarbage:
    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff\xfe", b"null", b"[]", b"7", b'"text"', b"[" * 100_000, b"9" * 10_000, b'{"csp-report": []}'],
    )
    @pytest.mark.parametrize("media_type", [LEGACY, REPORTING])
    def test_what_is_no_report_is_none(self, media_type: str, body: bytes) -> None:
        assert parse_reports(media_type, body) == ()

    @given(body=st.binary(max_size=200), media_type=st.sampled_from([LEGACY, REPORTING]))
    def test_no_body_raises(self, body: bytes, media_type: str) -> None:
        parse_reports(media_type, body)

    @given(
        members=st.dictionaries(
            st.sampled_from([*BODY, *OLD["csp-report"]]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
        )
    )
    def test_no_member_raises_and_all_that_comes_out_is_bounded(self, members: dict[str, Any]) -> None:
        for told, media_type in (
            ({"csp-report": members}, LEGACY),
            ({"type": "csp-violation", "body": members}, REPORTING),
        ):
            for violation in parsed(told, media_type):
                assert violation.directive in {"other", *DIRECTIVES}
                for text in (violation.document, violation.blocked, violation.source, violation.sample):
                    assert len(text) <= 1030
                    assert text.isprintable()


class TestEndpoint:
    async def report(self, *body: bytes, seen: list[CspViolation] | None = None, **more: Any) -> Exchange:
        heard: list[CspViolation] = [] if seen is None else seen
        options = {"headers": [("Content-Type", REPORTING)], "method": "POST"} | more
        return await exchange(CspReports(heard.append, max_body=2048), path="/csp", body=body, **options)

    @pytest.mark.parametrize("media_type", [REPORTING, LEGACY, "Application/CSP-Report; charset=utf-8"])
    async def test_a_report_is_told_and_answered_with_nothing(self, media_type: str) -> None:
        seen: list[CspViolation] = []
        told = OLD if "csp" in media_type.lower() else [NEW]
        whole = json.dumps(told).encode()

        answer = await self.report(whole[:50], whole[50:], seen=seen, headers=[("Content-Type", media_type)])

        assert (answer.status, answer.headers, answer.body) == (204, [], b"")
        assert seen == [SEEN_OLD if told is OLD else SEEN_NEW]

    async def test_garbage_is_answered_the_same(self) -> None:
        assert (await self.report(b"\xff{")).status == 204

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
    async def test_anything_but_a_post_is_not_taken(self, method: str) -> None:
        answer = await self.report(method=method)

        assert (answer.status, answer.header("allow")) == (405, "POST")
        assert json.loads(answer.body)["code"] == "csp-report.method-not-allowed"

    async def test_a_socket_is_not_taken_either(self) -> None:
        answer = await self.report(type="websocket")

        assert [message["type"] for message in answer.messages] == ["websocket.close"]

    @pytest.mark.parametrize("headers", [[], [("Content-Type", "application/json")], [("Content-Type", "")]])
    async def test_another_type_is_not_taken_and_told_which_are(self, headers: Any) -> None:
        answer = await self.report(b"{}", headers=headers)

        assert (answer.status, answer.header("accept")) == (415, f"{LEGACY}, {REPORTING}")

    async def test_a_body_beyond_the_limit_is_not_taken(self) -> None:
        assert (await self.report(bytes(1024), bytes(1024))).status == 204
        answer = await self.report(bytes(1024), bytes(1025))

        assert (answer.status, json.loads(answer.body)["limit"]) == (413, 2048)

    async def test_a_client_that_leaves_in_the_middle_has_reported_nothing(self) -> None:
        seen: list[CspViolation] = []
        messages = iter([{"type": "http.request", "body": json.dumps(NEW).encode(), "more_body": True}])

        async def receive() -> Any:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            raise AssertionError("there is nobody to answer")

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", REPORTING.encode())]}
        await CspReports(seen.append)(scope, receive, send)

        assert seen == []

    async def test_a_hook_that_fails_is_logged_and_hears_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[CspViolation] = []

        def failing(violation: CspViolation) -> None:
            heard.append(violation)
            raise OSError("the disk is full")

        body = json.dumps([NEW, NEW]).encode()
        answer = await exchange(CspReports(failing), "POST", headers=[("Content-Type", REPORTING)], body=[body])

        assert (answer.status, len(heard)) == (204, 2)
        assert "the disk is full" in caplog.text

    @pytest.mark.parametrize("argument", ["max_body", "max_reports"])
    def test_a_bound_must_be_positive(self, argument: str) -> None:
        with pytest.raises(ValueError, match=argument):
            CspReports(print, **{argument: 0})
