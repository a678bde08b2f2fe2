"""What `helm test` runs: files/place_an_order.py, against as much of a gateway as it asks for."""

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("place_an_order", ROOT / "helm/cortex-hub/files/place_an_order.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return module


class Gateway:
    """Says `answers` one after the other, the last one for ever. A status with the order's, or a refusal."""

    def __init__(self, answers: list[tuple[int, str]]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.asked.append((self.command, self.headers["Idempotency-Key"]))
                assert self.headers["Authorization"] == "Bearer st_told"
                status, order = answers.pop(0) if len(answers) > 1 else answers[0]
                body = json.dumps({"orderId": "ord_1", "status": order, "reason": "declined"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def gateway_saying() -> Iterator[Callable[..., Gateway]]:
    started: list[tuple[Gateway, threading.Thread]] = []

    def start(*answers: tuple[int, str]) -> Gateway:
        gateway = Gateway(list(answers))
        thread = threading.Thread(target=gateway.http.serve_forever, args=(0.01,))
        thread.start()
        started.append((gateway, thread))
        return gateway

    yield start
    for gateway, thread in started:
        gateway.http.shutdown()
        thread.join()
        gateway.http.server_close()


@pytest.fixture
def token(tmp_path: Path) -> str:
    (tmp_path / "token").write_text("st_told\n")
    return str(tmp_path / "token")


def test_an_order_is_followed_to_its_end(
    script: ModuleType, gateway_saying: Callable[..., Gateway], token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = gateway_saying((201, "pending"), (200, "processing"), (200, "completed"))

    script.main(gateway.url, token, "60")

    assert capsys.readouterr().out == "order ord_1 was placed and completed\n"


def test_a_hub_that_is_not_ready_is_asked_for_the_same_order_again(
    script: ModuleType, gateway_saying: Callable[..., Gateway], token: str
) -> None:
    gateway = gateway_saying((503, ""), (201, "completed"))

    script.main(gateway.url, token, "60")

    (_, first), (_, second) = gateway.asked
    assert first is not None
    assert first == second


@pytest.mark.parametrize(
    ("answers", "seconds", "line"),
    [
        ([(401, "")], "60", "answered 401"),
        ([(201, "pending"), (200, "failed")], "60", "order ord_1 is failed: declined"),
        ([(201, "pending")], "0", "order ord_1 is still pending after 0 s"),
        ([(503, "")], "0", "answered 503"),
    ],
)
def test_what_went_wrong_is_one_line(
    script: ModuleType,
    gateway_saying: Callable[..., Gateway],
    token: str,
    capsys: pytest.CaptureFixture[str],
    answers: list[tuple[int, str]],
    seconds: str,
    line: str,
) -> None:
    gateway = gateway_saying(*answers)

    with pytest.raises(SystemExit) as ended:
        script.main(gateway.url, token, seconds)

    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
