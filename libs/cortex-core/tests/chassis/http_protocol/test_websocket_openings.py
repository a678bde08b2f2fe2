"""A WebSocket's opening passes the same guards as any head, and nothing else is on its connection."""

import asyncio
import json
from typing import Any

import pytest

from cortex_core.chassis import websocket
from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, guarded
from cortex_core.testing import eventually, serving
from cortex_core.testing.hostile import Recorder, exchange
from cortex_core.testing.hostile.entries import BEFORE, get
from cortex_core.testing.hostile.wire import Answer, parsed

UPGRADE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(
    ("sent", "statuses", "code"),
    [
        (BEFORE + get(*UPGRADE), [200, 400], "http.bad-upgrade"),
        (get(*UPGRADE) + b"\x81\x80aaaa", [400], "http.bad-upgrade"),
        (get(*UPGRADE) + get(), [400], "http.bad-upgrade"),
        (get(*UPGRADE, b"Cookie: " + b"a" * 9000), [431], "http.head-too-large"),
        (get(*UPGRADE, host=None), [400], "http.bad-host"),
        (get(*UPGRADE, b"Host: b"), [400], "http.bad-host"),
    ],
    ids=["behind a request", "before frames", "before a request", "a line too long", "no Host", "two Hosts"],
)
async def test_it_is_refused(sent: bytes, statuses: list[int], code: str) -> None:
    app = Recorder()
    async with serving(app) as server:
        answers, ended = await exchange(int(server._base_url.port or 0), [sent])  # type: ignore[union-attr]

    assert ended
    assert [answer.status for answer in answers] == statuses
    assert answers[-1].code == code
    assert app.sockets == 0


async def test_one_that_is_right_reaches_the_application() -> None:
    app = Recorder()
    async with serving(app) as server:
        answers, ended = await exchange(int(server._base_url.port or 0), [get(*UPGRADE)])  # type: ignore[union-attr]

    assert ended
    assert [answer.status for answer in answers] == [403]  # closed before it was accepted
    assert app.sockets == 1
    is_a_problem(answers[0], "http.upgrade-refused")


def is_a_problem(answer: Answer, code: str) -> None:
    assert answer.code == code
    fields = answer.headers
    assert fields["content-type"] == "application/problem+json"
    assert fields["x-request-id"].startswith("req_")
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["connection"] == "close"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        (UPGRADE[:3], "missing Sec-WebSocket-Key"),
        ((*UPGRADE[:2], UPGRADE[3]), "missing Sec-WebSocket-Version"),
        ((*UPGRADE[:2], b"Sec-WebSocket-Version: 8", UPGRADE[3]), "invalid Sec-WebSocket-Version header: 8"),
        ((*UPGRADE[:3], b"Sec-WebSocket-Key: x"), "invalid Sec-WebSocket-Key header: x"),
        ((*UPGRADE, UPGRADE[3]), "multiple values"),
    ],
    ids=["no key", "no version", "version 8", "a bad key", "two keys"],
)
async def test_a_handshake_that_is_none_is_a_problem(fields: tuple[bytes, ...], detail: str) -> None:
    app = Recorder()
    async with serving(app) as server:
        (answer,), ended = await exchange(int(server._base_url.port or 0), [get(*fields)])  # type: ignore[union-attr]

    assert (ended, answer.status, app.sockets) == (True, 400, 0)
    is_a_problem(answer, "http.bad-upgrade")
    assert detail in json.loads(answer.body)["detail"]
    assert answer.headers["sec-websocket-version"] == "13"


async def test_it_says_once_when_that_was() -> None:
    async with serving(Recorder()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server._base_url.port)  # type: ignore[union-attr]
        writer.write(get(*UPGRADE[:2], b"Sec-WebSocket-Version: 12", UPGRADE[3]))
        async with asyncio.timeout(30):
            head = (await reader.read()).partition(b"\r\n\r\n")[0].lower()
        writer.close()

    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert sorted(names) == sorted(set(names))
    assert b"date" in names


async def test_an_application_that_breaks_in_a_handshake_says_no_more_than_that() -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        raise RuntimeError("secret")

    async with serving(breaking) as server:
        (answer,), _ = await exchange(int(server._base_url.port or 0), [get(*UPGRADE)])  # type: ignore[union-attr]

    assert (answer.status, b"secret" in answer.body) == (500, False)
    is_a_problem(answer, "internal")


async def test_an_application_that_never_answers_does_not_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HANDSHAKE", 0.2)
    told: list[str] = []

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        while not told[1:]:
            told.append((await receive())["type"])

    async with serving(silent) as server:
        answers, ended = await exchange(int(server._base_url.port or 0), [get(*UPGRADE)])  # type: ignore[union-attr]
        await eventually(lambda: len(told) == 2)

    assert ended
    assert [answer.status for answer in answers] == [503]
    is_a_problem(answers[0], "http.upgrade-timeout")
    assert told == ["websocket.connect", "websocket.disconnect"]


async def test_a_handshake_that_trickles_is_answered_408() -> None:
    app = Recorder()
    head = get(*UPGRADE)
    async with serving(app, protocol=guarded(HttpProtocol, ConnectionLimits(head_timeout=0.2))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server._base_url.port)  # type: ignore[union-attr]
        writer.write(head[:-4])
        async with asyncio.timeout(30):
            (answer,) = parsed(await reader.read(), whole=True)
        writer.close()

    assert answer.status == 408
    assert app.sockets == 0
