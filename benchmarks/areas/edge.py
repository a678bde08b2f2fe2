"""The gateway, with everything on, against what people would otherwise write or pick: a local route, and forwarding."""

import gzip
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import wrk
from benchmarks.edge import openloop, ours, sides
from benchmarks.edge.collector import Collector
from benchmarks.edge.installs import debian, locked_go, version_of_node
from benchmarks.machine import first_line, machine, versions
from benchmarks.processes import fetched, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, contest, disturbance, shown
from cortex_core.testing.redis_server import RedisServer

OURS: Final = "our gateway"
BARE, FASTIFY, CADDY, AIOHTTP = "bare FastAPI", "Fastify", "Caddy", "FastAPI + aiohttp"
NGINX, HAPROXY = "bare nginx", "bare HAProxy"
_LOCAL: Final = (BARE, FASTIFY)
_FORWARDING: Final = (FASTIFY, CADDY, AIOHTTP, NGINX, HAPROXY)
_SHARE: Final = 0.7  # of the slower side's maximum, for latency


@dataclass(frozen=True, slots=True)
class Scene:
    """What is asked, and what must come back. `posted`: the body of a POST. `accepts`: codings the client takes."""

    title: str
    path: str
    body: bytes
    posted: bytes | None = None
    accepts: str | None = None
    peers: tuple[str, ...] = _FORWARDING


SCENES: Final = (
    Scene("GET, 200 bytes", "/api/storage/files/small", sides.SMALL),
    Scene("GET, 4 KB", "/api/storage/files/large", sides.LARGE),
    Scene(
        "GET, 4 KB, gzip accepted",
        "/api/storage/files/large",
        sides.LARGE,
        accepts="gzip",
        peers=(FASTIFY, CADDY, AIOHTTP),
    ),
    Scene("GET, 200 bytes, kept by our edge", "/api/orders/small", sides.SMALL),
    Scene("POST, 300 bytes", "/api/orders", sides.SMALL, posted=sides.PLACED),
)


@dataclass(frozen=True, slots=True)
class Field:
    """All that stands ready: each side's address and process, what is behind them, what our gateway is watched by."""

    servers: Mapping[str, tuple[str, int]]
    figures: str
    local: str
    behind: tuple[int, ...]
    headers: Mapping[str, str]
    folder: Path
    collector: Collector

    def watch(self, path: str, headers: Mapping[str, str]) -> ours.Watch:
        return ours.Watch(self.servers[OURS][0], self.figures, path, headers, self.collector)


def run(plan: Plan) -> Section:
    with field() as ready:
        local, local_proof = _local(ready, plan)
        forwarded = {scene: _forwarded(ready, scene, plan) for scene in SCENES}
        latencies = _latencies(ready, SCENES[0], forwarded[SCENES[0]][0], plan)
    outcomes = {scene: outcome for scene, (outcome, _) in forwarded.items()}
    proofs = [local_proof, *(proof for _, proof in forwarded.values())]
    tables = [
        Table("Local route, answers a second", _COLUMNS, [_row(ready.local, local, peer) for peer in _LOCAL]),
        Table(
            "Forwarding, answers a second",
            _COLUMNS,
            [_row(scene.title, outcome, peer) for scene, outcome in outcomes.items() for peer in scene.peers],
        ),
        Table(
            f"Forwarding, {SCENES[0].title}: latency in an open loop at {_SHARE:.0%} of the slower side's maximum",
            ["ours ÷ peer", "asked/s", "p50 ours", "p50 peer", "p99 ours", "p99 peer", "p99: times shorter"],
            [_latency_row(peer, rate, outcome) for peer, (rate, outcome) in latencies.items()],
        ),
    ]
    notes = [
        *(" ".join(note.split()) for note in _NOTES),
        f"Our gateway had everything on: {'; '.join(proofs)}.",
        disturbance([local, *outcomes.values()]),
    ]
    return Section("edge", _setting(plan), tables, notes)


_COLUMNS: Final = (
    "ours ÷ peer",
    "ours/s",
    "peer/s",
    "ratio",
    "ours CPU µs",
    "peer CPU µs",
    "ratio by CPU",
    "ours bytes",
    "peer bytes",
)
_NOTES: Final = (
    """Our gateway: ES256 token verified, limiter on a real Redis (never refusing), metrics, access lines, 1 % of traces
    to a collector, security headers, compression, cache, circuits and bulkheads. FastAPI + aiohttp: token, limiter in
    memory, metrics, security headers, compression. Fastify: rate-limit in memory, helmet, compress; no token, no
    metrics, no traces, no log. Caddy: headers and encode. nginx, HAProxy: nothing.""",
    """One worker on one CPU each, connections to the service kept; the service is nginx with answers of its own, on the
    CPU of the load. Closed loop: wrk, 32 connections. Open loop: vegeta; latencies in ms.""",
    """`CPU µs` is what the gateway's process used for an answer, the kernel's work for it included. A peer that keeps
    up with its load is void by rate, since the load was the busier one; by CPU it can still be compared.""",
    """`bytes` are of an answer on the wire, head included: who compresses shows there. Ours has some 930 bytes of head,
    security headers and limits. Were its event loop late by 50 ms it would compress less, and have more bytes.""",
)


@contextmanager
def field() -> Iterator[Field]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cortex-bench-")))
        redis = stack.enter_context(RedisServer.running())
        collector = stack.enter_context(Collector.running())
        service = stack.enter_context(sides.service(folder))
        keys = ours.make_keys(folder)
        headers = sides.fields(keys.token)
        address, pid, figures = stack.enter_context(ours.gateway(service.port, keys, redis, collector))
        local, body = _local_route(address, headers, folder)
        peer = partial(sides.fastapi, upstream=service.port, path=local, body=body, jwks=keys.jwks)
        assert redis.pid is not None
        yield Field(
            {
                OURS: (address, pid),
                BARE: stack.enter_context(peer("bare")),
                FASTIFY: stack.enter_context(sides.fastify(service.port, local, body)),
                CADDY: stack.enter_context(sides.caddy(folder, service.port)),
                AIOHTTP: stack.enter_context(peer("gateway")),
                NGINX: stack.enter_context(sides.nginx(folder, service.port)),
                HAPROXY: stack.enter_context(sides.haproxy(folder, service.port)),
            },
            figures,
            local,
            (service.pid, redis.pid),
            headers,
            folder,
            collector,
        )


def _local_route(address: str, headers: Mapping[str, str], folder: Path) -> tuple[str, Path]:
    """The route our gateway answers of its own, and a file with what it says, for the peers to say the same."""
    path = "/api"
    body = folder / "local.json"
    body.write_bytes(fetched(address + path, *ours.curled(headers)))
    return path, body


def _local(ready: Field, plan: Plan) -> tuple[Contest, str]:
    said = (ready.folder / "local.json").read_bytes()
    for name in (OURS, *_LOCAL):
        _check(ready, name, ready.local, said, ready.headers)
    return _contest(ready, "local route", ready.local, _LOCAL, ready.headers, plan)


def _forwarded(ready: Field, scene: Scene, plan: Plan) -> tuple[Contest, str]:
    headers = dict(ready.headers)
    if scene.accepts is not None:
        headers["Accept-Encoding"] = scene.accepts
    posted = None
    if scene.posted is not None:
        headers["Content-Type"] = "application/json"
        posted = ready.folder / "posted.json"
        posted.write_bytes(scene.posted)
    for name in (OURS, *scene.peers):
        _check(ready, name, scene.path, scene.body, headers, posted)
    return _contest(ready, scene.title, scene.path, scene.peers, headers, plan, posted)


def _check(
    ready: Field, name: str, path: str, body: bytes, headers: Mapping[str, str], posted: Path | None = None
) -> None:
    """Raises SystemExit where a side does not say what it should, compressed where that was asked for."""
    sent = [] if posted is None else ["--data-binary", f"@{posted}"]
    said = fetched(ready.servers[name][0] + path, *sent, *ours.curled(headers))
    if not is_said(said, body, compressed="Accept-Encoding" in headers):
        raise SystemExit(f"bench: {name} does not answer {path} with what it should: {said[:200]!r}")


def is_said(said: bytes, wanted: bytes, *, compressed: bool) -> bool:
    """JSON is compared as such: an encoder may differ. What is to be `compressed` is gzip's."""
    try:
        return bool(json.loads(gzip.decompress(said) if compressed else said) == json.loads(wanted))
    except (OSError, ValueError):
        return False


def _contest(
    ready: Field,
    title: str,
    path: str,
    peers: tuple[str, ...],
    headers: Mapping[str, str],
    plan: Plan,
    posted: Path | None = None,
) -> tuple[Contest, str]:
    """The sides in turn; and the proof, in words, that our features were on throughout."""
    watch, requests = ready.watch(path, headers), [0]
    watch.check_headers()

    def turn(name: str, seconds: int) -> Sample:
        address, pid = ready.servers[name]
        sample = wrk.load(
            address + path, pid, seconds, headers=headers, connections=32, body=posted, behind=ready.behind
        )
        if name == OURS:
            watch.check_limiter(int(sample.facts["requests"]))
            requests[0] += int(sample.facts["requests"])
        return sample

    outcome = contest(
        {name: partial(turn, name) for name in (OURS, *peers)}, plan, lambda line: say(f"edge, {title}: {line}")
    )
    return outcome, f"{title}: {watch.check_telemetry(requests[0])}"


def _latencies(ready: Field, scene: Scene, maxima: Contest, plan: Plan) -> dict[str, tuple[int, Contest]]:
    """Each peer and ours at one rate: what the slower of the two takes easily."""
    found = {}
    for peer in scene.peers:
        slower = min(maxima.rate(OURS) or 0.0, maxima.rate(peer) or 0.0)
        rate = max(1, int(_SHARE * slower))
        turns = {name: partial(_open_turn, ready, name, scene.path, rate) for name in (OURS, peer)}
        found[peer] = (rate, contest(turns, plan, partial(_progress, peer)))
    return found


def _open_turn(ready: Field, name: str, path: str, rate: int, seconds: int) -> Sample:
    """Where answers failed though the load was as it should be: a peer's turn is void, ours raises SystemExit."""
    address, pid = ready.servers[name]
    sample = openloop.load(address + path, pid, seconds, rate, headers=ready.headers, behind=ready.behind)
    if sample.void or not sample.facts["failed"]:
        return sample
    if name == OURS:
        raise SystemExit(f"bench: {sample.facts['failed']:.2%} of our answers failed in an open loop of {rate}/s")
    return replace(sample, void=True)


def _progress(peer: str, line: str) -> None:
    say(f"edge, latency beside {peer}: {line}")


def _row(title: str, outcome: Contest, peer: str) -> list[str]:
    by_cpu = outcome.per("cpu")
    return [
        f"{title}: {OURS} ÷ {peer}",
        shown(outcome.rate(OURS)),
        shown(outcome.rate(peer)),
        outcome.ratio_shown(OURS, peer),
        shown(outcome.fact(OURS, "cpu")),
        shown(outcome.fact(peer, "cpu")),
        by_cpu.ratio_shown(OURS, peer),
        f"{outcome.fact(OURS, 'wire'):,.0f}",
        f"{outcome.fact(peer, 'wire'):,.0f}",
    ]


def _latency_row(peer: str, rate: int, outcome: Contest) -> list[str]:
    figures = [shown(outcome.fact(side, name)) for name in ("p50", "p99") for side in (OURS, peer)]
    return [f"{OURS} ÷ {peer}", f"{rate:,}", *figures, outcome.ratio_shown(OURS, peer)]


def _setting(plan: Plan) -> str:
    node = f"Node {first_line('node', '--version')}, fastify {version_of_node('fastify')}"
    go = ", ".join(f"{name} {version}" for name, (_, version, _) in locked_go().items())
    system = ", ".join(_version(name) for name in ("nginx", "haproxy"))
    packages = versions("uvicorn", "fastapi", "aiohttp", "pyjwt")
    return f"{machine()}; {packages}, {node}, {go}, {system}; {plan.rounds} rounds of {plan.seconds} s."


def _version(name: str) -> str:
    return first_line("env", *(f"{key}={value}" for key, value in debian(name).env.items()), debian(name).path, "-v")
