"""What is sent to the gateways, and how they are set up."""

import gzip
import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks.areas import edge, telemetry
from benchmarks.edge import openloop, sides
from benchmarks.edge.collector import Collector
from benchmarks.rounds import Sample


@pytest.mark.parametrize("size", [200, 4096])
def test_a_body_has_the_size_it_is_named_by(size: int) -> None:
    body = sides.order(size)

    assert len(body) == size
    assert json.loads(body)["orderId"].startswith("ord_")


def test_bodies_need_no_quoting_in_nginx() -> None:
    assert not set(b"'\\$") & set(sides.SMALL + sides.LARGE)


def test_what_is_posted_has_about_300_bytes() -> None:
    assert 280 <= len(sides.PLACED) <= 320


@pytest.mark.parametrize("name", ["upstream.conf", "nginx.conf", "haproxy.cfg", "Caddyfile"])
def test_no_word_of_a_configuration_is_left_open(tmp_path: Path, name: str) -> None:
    words = {"PORT": "1", "UPSTREAM": "2", "FOLDER": "/f", "SMALL": "{}", "FIRST": "{", "SECOND": "}"}

    assert "@" not in sides.written(name, tmp_path, **words).read_text()


def test_every_peer_of_a_scene_has_its_row() -> None:
    assert {peer for scene in edge.SCENES for peer in scene.peers} == {
        edge.FASTIFY,
        edge.CADDY,
        edge.AIOHTTP,
        edge.NGINX,
        edge.HAPROXY,
    }


def test_latencies_are_read_in_milliseconds() -> None:
    report = {"latencies": {"50th": 1_500_000, "99th": 20_000_000}, "rate": 99.5, "success": 1}

    assert openloop.latency_of(json.dumps(report).encode()) == openloop.Latency(1.5, 20.0, 99.5, 1)


@pytest.mark.parametrize("busy", [False, True])
def test_answers_that_failed_void_a_peers_turn_and_end_a_run_of_ours_unless_the_load_was_to_blame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, busy: bool
) -> None:
    monkeypatch.setattr(openloop, "load", lambda *_, **__: Sample(1.0, busy, {"failed": 0.25}))
    servers = dict.fromkeys((edge.OURS, edge.CADDY), ("http://127.0.0.1:1", 1))
    ready = edge.Field(servers, "", "/api", (), {}, tmp_path, Collector(1))

    assert edge._open_turn(ready, edge.CADDY, "/", 100, 1).void
    with nullcontext() if busy else pytest.raises(SystemExit, match=r"25\.00% of our answers failed"):
        assert edge._open_turn(ready, edge.OURS, "/", 100, 1).void


def test_costs_are_compared_beyond_the_same_service_without() -> None:
    ours = {"on": [110.0, 120.0, 105.0], "off": [100.0, 100.0, 100.0]}
    theirs = {"on": [100.0, 100.0, 100.0], "off": [50.0, 50.0, 50.0]}

    ratio = telemetry.cost_ratio(ours, theirs)

    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == (0.2, 0.1, 0.4)


def test_no_cost_of_theirs_is_no_ratio() -> None:
    nothing = {"on": [50.0], "off": [50.0]}

    assert telemetry.cost_ratio({"on": [60.0], "off": [50.0]}, nothing) is None


@pytest.mark.parametrize(
    ("said", "compressed", "right"),
    [
        (b'{"b": 2, "a": 1}', False, True),
        (b'{"a":1}', False, False),
        (b"<html>", False, False),
        (gzip.compress(b'{"a":1,"b":2}', mtime=0), True, True),  # the same on every worker
        (b'{"a":1,"b":2}', True, False),
    ],
)
def test_a_side_must_say_what_the_service_says(said: bytes, compressed: bool, right: bool) -> None:
    assert edge.is_said(said, b'{"a":1,"b":2}', compressed=compressed) is right
