"""What the guards are told by settings, and what they tell: hosts, the metric, the log, the page of their codes."""

import json
import logging
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cortex_core.chassis import Config, service_config
from cortex_core.chassis.connection_reporter import ConnectionReporter
from cortex_core.chassis.guard_settings import GuardSettings
from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, RefusalDetails, guarded
from cortex_core.chassis.http_protocol.refusals import CODES, CUT
from cortex_core.observability import Logger, MetricsCollector, configure_logging
from cortex_core.observability import logging as ours
from cortex_core.testing import serving
from cortex_core.testing.hostile import Answer, Recorder, exchange
from cortex_core.testing.hostile.entries import BEFORE, get

PAGE = Path(__file__).parents[5] / "docs/blocks/server-guards.md"


class Tea(Config):
    model_config = service_config("TEA_")


async def asked(limits: ConnectionLimits, data: bytes, *, heads: int = 0) -> Answer:
    async with serving(Recorder(), protocol=guarded(HttpProtocol, limits)) as server:
        port = int(server._base_url.port or 0)  # type: ignore[union-attr]
        answers, _ = await exchange(port, [data], heads=heads, answers=1)
    return answers[0]


@pytest.mark.parametrize("host", [b"hub.example", b"HUB.example:8080", b"127.0.0.1", b"[::1]:3000"])
async def test_a_host_that_is_named_is_served(host: bytes) -> None:
    hosts = frozenset({"hub.example", "127.0.0.1", "[::1]"})

    assert (await asked(ConnectionLimits(hosts=hosts), get(b"Host: " + host, host=None))).status == 200


@pytest.mark.parametrize("host", [b"evil.example", b"hub.example.evil", b"hub.example."])
async def test_a_host_that_is_not_is_refused(host: bytes) -> None:
    answer = await asked(ConnectionLimits(hosts=frozenset({"hub.example"})), get(b"Host: " + host, host=None))

    assert (answer.status, answer.code) == (421, "http.host-not-served")


async def test_a_refused_head_has_no_body() -> None:
    answer = await asked(ConnectionLimits(), get(line=b"HEAD /#x HTTP/1.1"), heads=1)

    assert (answer.status, answer.body) == (400, b"")


async def test_http_1_0_gets_no_chunks() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as server:
        port = int(server._base_url.port or 0)  # type: ignore[union-attr]
        (answer,), ended = await exchange(port, [b"GET / HTTP/1.0\r\n\r\n"])

    assert ended
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"onetwo"


async def test_a_mistake_within_a_callback_is_our_fault_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(HttpProtocol):
        def dispatch(self) -> None:
            raise RuntimeError("a mistake of ours")

    async with serving(Recorder(), protocol=Broken) as server:
        port = int(server._base_url.port or 0)  # type: ignore[union-attr]
        (answer,), ended = await exchange(port, [BEFORE])

    assert ended
    assert (answer.status, answer.code) == (500, "internal")
    assert "a mistake of ours" in caplog.text
    assert b"mistake" not in answer.body


async def test_a_hook_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def hook(details: RefusalDetails) -> None:
        raise RuntimeError("a mistake of the listener's")

    async with serving(Recorder(), protocol=guarded(HttpProtocol, ConnectionLimits(), hook)) as server:
        port = int(server._base_url.port or 0)  # type: ignore[union-attr]
        (answer,), ended = await exchange(port, [get(host=None)])

    assert (answer.status, ended) == (400, True)
    assert "listener's" in caplog.text


def test_a_refusal_is_counted_under_a_bounded_reason() -> None:
    metrics = MetricsCollector()
    reporter = ConnectionReporter(metrics, Logger.get("test"))

    for reason in ("http.bad-host", "http.bad-host", "http.silent", "whatever"):
        reporter(RefusalDetails(reason, 400, "", "127.0.0.1", "req_1"))

    counted = {
        reason: metrics.value("cortex_hub_http_refused_total", reason=reason)
        for reason in ("http.bad-host", "http.silent", "internal")
    }
    assert counted == {"http.bad-host": 2.0, "http.silent": 1.0, "internal": 1.0}


def test_a_refusals_line_has_the_id_that_the_client_was_told_where_every_line_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, lines = logging.getLogger(), StringIO()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    monkeypatch.setattr(root, "level", root.level)
    for name, value in vars(ours._output).items():
        monkeypatch.setattr(ours._output, name, value)
    configure_logging(service="test", level="info", stream=lines)

    report = ConnectionReporter(MetricsCollector(), Logger.get("test"))
    report(RefusalDetails("http.bad-host", 400, "two of them", "127.0.0.1", "req_1"))

    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["request_id"], line["reason"]) == ("refused", "req_1", "http.bad-host")
    assert "request_id_" not in line


def test_settings_become_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_HEAD_TIMEOUT", "3")
    monkeypatch.setenv("TEA_HEADER_COUNT_LIMIT", "7")
    monkeypatch.setenv("TEA_HOSTS", "Hub.example, [::1]")

    limits = Tea(env="test").connection_limits

    assert (limits.head_timeout, limits.header_count) == (3.0, 7)
    assert limits.hosts == {"hub.example", "[::1]"}


def test_settings_left_alone_are_the_limits_as_they_are() -> None:
    assert Tea(env="test", anonymous=False).connection_limits == ConnectionLimits()


def test_while_nobody_has_to_say_who_he_is_the_limits_say_what_names_more_hosts() -> None:
    assert Tea(env="test").connection_limits == ConnectionLimits(hosts_setting="TEA_HOSTS")


NEAR = ConnectionLimits(hosts=frozenset({"hub.example"}), hosts_setting="TEA_HOSTS")


@pytest.mark.parametrize(
    "host",
    [
        *(b"127.0.0.1", b"127.0.0.1:3000", b"[::1]:3000", b"192.168.1.7:3000", b"localhost:3000", b"Order:3001"),
        *(
            b"tea.localhost",
            b"host.docker.internal:3000",
            b"hub-order.cortex.svc",
            b"hub-order.cortex.svc.cluster.local",
        ),
        *(b"hub.example", b"hub.example:443"),
    ],
)
async def test_names_that_no_public_page_can_have_are_served_without_being_named(host: bytes) -> None:
    assert (await asked(NEAR, get(b"Host: " + host, host=None))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(b"evil.example", b"evil.example:3000", b"127.0.0.1.evil.example", b"localhost.evil.example", b"1.2.3"),
        *(b"evil.internal.example", b"notlocalhost.example", b"xlocalhost.com", b"a.sub.hub.example", b"127.0.0.1."),
    ],
)
async def test_a_name_that_a_page_can_have_led_here_is_not(host: bytes) -> None:
    """DNS rebinding: the page's own name points to us, so that its browser takes us for the page's origin."""
    answer = await asked(NEAR, get(b"Host: " + host, host=None))

    assert answer.status == 421
    assert b"http.host-not-served" in answer.body
    assert b"TEA_HOSTS" in answer.body


@pytest.mark.parametrize("hosts", ["a:80", "http://a", "a/b", "::1"])
def test_what_is_no_host_is_no_setting(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_HOSTS", hosts)

    with pytest.raises(ValidationError, match="a host is a name"):
        Tea(env="test")


def test_the_page_lists_every_code_and_every_setting() -> None:
    page = PAGE.read_text()

    assert set(re.findall(r"^\| `(http\.[a-z-]+)` \| (\d+|none)", page, re.MULTILINE)) == {
        *((code, str(status)) for code, status in CODES.items()),
        *((reason, "none") for reason in CUT),
    }
    assert set(re.findall(r"^\| `<PREFIX>_([A-Z_]+)`", page, re.MULTILINE)) == {
        name.upper() for name in GuardSettings.model_fields
    }


def test_the_class_is_still_uvicorns() -> None:
    """Its machinery is relied on (drain, upgrades, back-pressure): an update that renames it must be noticed."""
    for name in ("_start_asgi_task", "handle_websocket_upgrade", "shutdown", "pause_writing", "resume_writing"):
        assert callable(getattr(HttpToolsProtocol, name))
