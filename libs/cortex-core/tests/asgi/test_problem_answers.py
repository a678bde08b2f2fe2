"""Whatever an error carries, it becomes one answer: RFC 9457, without a framework."""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.problems import STATUS, Answer, Answered, Problems, phrase_of, problem
from cortex_core.kernel import CortexError, Kind, TraceContext, use_context
from cortex_core.testing.exchange import Exchange, exchange

SOCKET = {"type": "websocket", "extensions": {"websocket.http.response": {}}}


class TeapotIsEmpty(CortexError):
    code, kind = "teapot.empty", Kind.CONFLICT


class TooManyCups(CortexError):
    code, kind = "cups.too-many", Kind.RATE_LIMITED

    def __init__(self, headers: dict[str, str], **more: Any) -> None:
        super().__init__("too many cups", **more)
        self.response_headers = headers


class NotThisTea(CortexError):
    code, kind = "tea.unsupported", Kind.UNSUPPORTED_MEDIA
    response_headers = {"Accept": "tea/green"}  # noqa: RUF012 - of the class, as an error may have it


def sent(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.body)
    return body


def raising(error: Exception) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    return app


class TestProblem:
    def test_an_error_is_told_by_its_code_its_words_and_its_details(self) -> None:
        trace = TraceContext("a" * 32, "b" * 16)
        with use_context(trace=trace):
            answer = problem(TeapotIsEmpty("the teapot is empty", last_refill="noon"), "/cups/1")

        assert answer.status == 409
        assert sent(answer) == {
            "type": "urn:cortex:problem:teapot.empty",
            "title": "Conflict",
            "status": 409,
            "detail": "the teapot is empty",
            "instance": "/cups/1",
            "code": "teapot.empty",
            "traceId": "a" * 32,
            "lastRefill": "noon",
        }
        assert dict(answer.headers) == {
            b"content-type": b"application/problem+json",
            b"content-length": str(len(answer.body)).encode(),
        }

    def test_without_a_trace_there_is_no_id_to_tell(self) -> None:
        assert sent(problem(TeapotIsEmpty("empty"), "/"))["traceId"] is None

    def test_every_kind_has_a_status(self) -> None:
        assert STATUS.keys() == set(Kind)

    def test_an_answer_that_came_with_a_status_keeps_it(self) -> None:
        answer = problem(Answered(418, "teapot.short", "short and stout"), "/")

        assert (answer.status, sent(answer)["title"], sent(answer)["code"]) == (418, "I'm a Teapot", "teapot.short")

    @pytest.mark.parametrize(
        ("status", "title"),
        [
            (413, "Content Too Large"),
            (414, "URI Too Long"),
            (416, "Range Not Satisfiable"),
            (422, "Unprocessable Content"),
        ],
    )
    def test_titles_are_the_names_that_rfc_9110_has(self, status: int, title: str) -> None:
        assert sent(problem(Answered(status, "odd", "odd"), "/"))["title"] == phrase_of(status) == title

    def test_a_status_that_no_rfc_knows_has_a_title_too(self) -> None:
        assert sent(problem(Answered(599, "odd", "odd"), "/"))["title"] == "Error"

    @pytest.mark.parametrize("name", ["status", "code", "trace_id", "traceId", "detail", "instance", "type", "title"])
    def test_details_do_not_replace_what_every_problem_says(self, name: str) -> None:
        error = TeapotIsEmpty("empty")
        error.details = {name: "forged"}

        assert "forged" not in problem(error, "/").body.decode()

    def test_details_are_written_as_json_can(self) -> None:
        class Colour(Enum):
            GREEN = "green"

        @dataclass
        class Leaf:
            grams: int

        details = {
            "when": datetime(2026, 11, 25, 12, tzinfo=UTC),
            "colour": Colour.GREEN,
            "leaf": Leaf(3),
            "kinds": {"b", "a"},
            "id": UUID(int=1),
            "name": "Grünkohl",
        }

        body = sent(problem(TeapotIsEmpty("empty", **details), "/"))

        assert {name: body[name] for name in details} == {
            "when": "2026-11-25T12:00:00+00:00",
            "colour": "green",
            "leaf": {"grams": 3},
            "kinds": ["a", "b"],
            "id": "00000000-0000-0000-0000-000000000001",
            "name": "Grünkohl",
        }

    @pytest.mark.parametrize("detail", [float("nan"), {(1, 2): 3}])
    def test_details_that_json_cannot_hold_are_left_out(self, detail: Any) -> None:
        body = sent(problem(TeapotIsEmpty("empty", detail_of=detail), "/"))

        assert (body["code"], "detailOf" in body) == ("teapot.empty", False)

    def test_details_that_hold_themselves_are_left_out(self) -> None:
        circle: list[Any] = []
        circle.append(circle)

        assert "circle" not in sent(problem(TeapotIsEmpty("empty", circle=circle), "/"))

    @given(message=st.text(), path=st.text(), detail=st.text())
    def test_no_text_raises(self, message: str, path: str, detail: str) -> None:
        body = sent(problem(TeapotIsEmpty(message, said=detail), path))

        assert (body["detail"], body["instance"], body["said"]) == (message, path, detail)


class TestHeaders:
    @pytest.mark.parametrize(
        ("retry_after", "said"),
        [(7.0, b"7"), (7.2, b"8"), (0.2, b"1"), (-5, b"1"), (float("inf"), b"2147483647"), (float("nan"), b"1")],
    )
    def test_retry_after_is_whole_seconds_and_never_too_early(self, retry_after: float, said: bytes) -> None:
        headers = dict(problem(TeapotIsEmpty("empty", retry_after=retry_after), "/").headers)

        assert headers[b"retry-after"] == said

    def test_what_may_pass_always_says_when_to_come_back(self) -> None:
        assert dict(problem(TooManyCups({}), "/").headers)[b"retry-after"] == b"1"
        assert dict(problem(Answered(503, "busy", "busy"), "/").headers)[b"retry-after"] == b"1"

    def test_an_error_carries_headers_of_its_answer(self) -> None:
        headers = dict(problem(TooManyCups({"X-RateLimit-Limit": "100", "Retry-After": "30"}), "/").headers)

        assert (headers[b"x-ratelimit-limit"], headers[b"retry-after"]) == (b"100", b"30")

    def test_a_class_of_errors_may_carry_them_too(self) -> None:
        assert dict(problem(NotThisTea("green only"), "/").headers)[b"accept"] == b"tea/green"

    def test_a_number_among_them_is_written_as_one(self) -> None:
        headers: Any = {"X-RateLimit-Limit": 100}

        assert dict(problem(TooManyCups(headers), "/").headers)[b"x-ratelimit-limit"] == b"100"

    def test_headers_of_the_caller_win_over_the_errors(self) -> None:
        answer = problem(TooManyCups({"X-Cups": "1"}), "/", {"x-cups": "2"})

        assert [value for name, value in answer.headers if name == b"x-cups"] == [b"2"]

    @pytest.mark.parametrize("name", ["Content-Type", "content-length"])
    def test_the_body_is_described_by_us(self, name: str) -> None:
        answer = problem(TooManyCups({name: "0"}), "/")

        assert dict(answer.headers)[name.lower().encode()] != b"0"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-A", "a\r\nSet-Cookie: b"),
            ("X-A", "\0"),
            ("X-A", "€"),
            ("X A", "a"),
            ("X-A:", "a"),
            ("", "a"),
            ("X-A\n", "a"),
        ],
    )
    def test_a_header_that_would_forge_another_is_left_out(self, name: str, value: str) -> None:
        plain, forged = problem(TooManyCups({}), "/"), problem(TooManyCups({name: value}), "/")

        assert forged.headers == plain.headers


class TestProblems:
    async def test_what_is_raised_becomes_an_answer(self) -> None:
        answer = await exchange(Problems(raising(TeapotIsEmpty("the teapot is empty"))), path="/cups")

        assert (answer.status, answer.header("content-type")) == (409, "application/problem+json")
        assert json.loads(answer.body)["instance"] == "/cups"
        assert [message["type"] for message in answer.messages] == ["http.response.start", "http.response.body"]
        assert answer.messages[-1]["more_body"] is False

    async def test_a_bug_is_told_to_the_hook_and_says_nothing_of_itself(self) -> None:
        heard: list[tuple[str, Exception]] = []
        bug = RuntimeError("the secret is xyzzy")

        net = Problems(raising(bug), on_error=lambda scope, error: heard.append((scope["path"], error)))
        answer = await exchange(net, path="/cups")

        assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal")
        assert b"xyzzy" not in answer.body
        assert heard == [("/cups", bug)]

    async def test_without_a_hook_the_log_has_the_story(self, caplog: pytest.LogCaptureFixture) -> None:
        await exchange(Problems(raising(RuntimeError("the story"))), path="/cups")

        assert "/cups" in caplog.text
        assert "the story" in caplog.text

    async def test_a_hook_that_fails_costs_nobody_the_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        def failing(scope: Any, error: Exception) -> None:
            raise OSError("the disk is full")

        answer = await exchange(Problems(raising(RuntimeError("bug")), on_error=failing))

        assert answer.status == 500
        assert "the disk is full" in caplog.text

    @pytest.mark.parametrize("error", [TeapotIsEmpty("empty"), RuntimeError("bug")])
    async def test_an_answer_that_has_begun_must_not_end_well(self, error: Exception) -> None:
        heard: list[Exception] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise error

        with pytest.raises(type(error)):
            await exchange(Problems(app, on_error=lambda _, error: heard.append(error)))

        assert heard == ([error] if isinstance(error, RuntimeError) else [])

    async def test_an_application_without_errors_is_left_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"b")]})
            await send({"type": "http.response.body"})

        answer = await exchange(Problems(app))

        assert (answer.status, answer.headers, caplog.records) == (204, [(b"x-a", b"b")], [])


class TestSockets:
    async def test_a_handshake_is_refused_with_the_same_body(self) -> None:
        answer = await exchange(Problems(raising(TeapotIsEmpty("empty"))), **SOCKET)

        assert [m["type"] for m in answer.messages] == ["websocket.http.response.start", "websocket.http.response.body"]
        assert (answer.status, json.loads(answer.body)["code"]) == (409, "teapot.empty")

    @pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}])
    async def test_a_server_that_cannot_only_closes(self, extensions: dict[str, Any]) -> None:
        answer: Exchange = await exchange(Problems(raising(TeapotIsEmpty("empty"))), type="websocket", **extensions)

        assert [(m["type"], m["code"]) for m in answer.messages] == [("websocket.close", 1008)]

    @pytest.mark.parametrize("begun", ["websocket.accept", "websocket.close", "websocket.http.response.start"])
    async def test_a_socket_that_was_answered_is_not_answered_again(self, begun: str) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": begun})
            raise TeapotIsEmpty("empty")

        with pytest.raises(TeapotIsEmpty):
            await exchange(Problems(app), **SOCKET)


async def test_a_lifespan_that_fails_is_the_servers_to_hear_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(TeapotIsEmpty):
        await exchange(Problems(raising(TeapotIsEmpty("empty"))), type="lifespan")
