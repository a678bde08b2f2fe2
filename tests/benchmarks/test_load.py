"""`make load`: the mix is what the documents say, and an answer that is not what it should be ends the run."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import load

from .standing import standing

MIX = json.loads((load.FOLDER / "mix.json").read_text())


class Hub:
    """Stands for a hub: each GET and POST is answered from `answers`, by path, the last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, dict[str, str], object]]] = {}
        self.seen: list[tuple[str, str, str | None, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                hub.seen.append((self.command, self.path, self.headers["If-None-Match"], self.headers["Authorization"]))
                several = hub.answers[self.path]
                status, headers, body = several.pop(0) if len(several) > 1 else several[0]
                encoded = b"" if status == 304 else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def hub() -> Iterator[Hub]:
    stand_in = Hub()
    with standing(stand_in.server):
        yield stand_in


def test_the_weights_are_shares_of_a_hundred() -> None:
    assert sum(read["weight"] for read in MIX["reads"]) == 100


def test_the_document_tells_the_mix() -> None:
    text = (load.FOLDER / "README.md").read_text()

    assert [int(weight) for weight in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)] == [
        read["weight"] for read in MIX["reads"]
    ]


def test_orders_share_the_weight_of_their_read() -> None:
    asked = load.requests_of(MIX, [("ord_1", '"v3"'), ("ord_2", '"v4"')])

    assert sum(each.weight for each in asked) == 100
    assert {(each.path, each.tag) for each in asked if each.tag} == {
        ("/api/orders/ord_1", '"v3"'),
        ("/api/orders/ord_2", '"v4"'),
    }


def test_an_order_is_waited_for_until_it_has_come_to_its_end(hub: Hub) -> None:
    hub.answers["/api/orders"] = [(201, {}, {"orderId": "ord_1"})]
    hub.answers["/api/orders/ord_1"] = [
        (200, {"ETag": '"v1"'}, {"status": "pending"}),
        (200, {"ETag": '"v3"'}, {"status": "completed"}),
    ]

    assert load.Hub(hub.url, "secret").placed() == ("ord_1", '"v3"')
    assert {authorization for *_, authorization in hub.seen} == {"Bearer secret"}


def test_an_order_that_is_refused_ends_the_run(hub: Hub) -> None:
    hub.answers["/api/orders"] = [(429, {}, {"code": "rate-limit.exceeded"})]

    with pytest.raises(SystemExit, match=r"answers 429: .*rate-limit\.exceeded"):
        load.Hub(hub.url, None).placed()


def test_who_has_it_must_hear_304(hub: Hub) -> None:
    hub.answers["/api/orders/ord_1"] = [(304, {}, None), (200, {}, {})]
    asked = [load.Asked(1, "/api/orders/ord_1", '"v3"')]

    load.check(load.Hub(hub.url, None), asked)
    assert hub.seen[-1][2] == '"v3"'
    with pytest.raises(SystemExit, match="ord_1 answers 200"):
        load.check(load.Hub(hub.url, None), asked)


def test_figures_stand_beside_the_baseline() -> None:
    now = {"rate": 12_000.0, "p50": 1.0, "p99": 9.0, "failed": 0.0}
    figures = {
        "machine": "here",
        "seconds": 10,
        "authenticated": True,
        "bar": MIX["bar"],
        "reads": now,
        "readsAtTheBarsRate": now | {"failed": 0.015},
        "ordersPlaced": now,
    }

    lines = load.told(figures, {"reads": now | {"rate": 10_000.0}}).splitlines()

    assert lines[0].endswith("asked with a token")
    assert "12,000/s, p50 1.0 ms, p99 9.0 ms   (baseline 10,000/s, p99 9.0 ms)" in lines[1]
    assert lines[2].endswith("p99 9.0 ms, 1.50% FAILED")


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    now = {"rate": 1.0, "p50": 1.0, "p99": 1.0, "failed": 0.0}
    figures = {
        "machine": "here",
        "seconds": 1,
        "authenticated": False,
        "bar": MIX["bar"],
        "reads": now,
        "ordersPlaced": now,
    }

    assert "not measured" in load.told({**figures, "readsAtTheBarsRate": None}, None)
