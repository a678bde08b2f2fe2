"""Compression through a real HTTP server: ours against Starlette's GZipMiddleware and Node's zlib."""

import os
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import zstandard

from benchmarks import payloads, wrk
from benchmarks.machine import first_line, machine, versions
from benchmarks.processes import asgi, fetched, node, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, contest, disturbance, shown

_PROGRAMS: Final = Path(__file__).parents[1] / "programs"
_ENDLESS: Final = 1024  # MiB
_MB: Final = 1e6

OURS, OURS_ZSTD = OURS_BOTH = ("ours gzip", "ours zstd")
STARLETTE, NODE, NODE_FLUSHED = "Starlette gzip 9", "Node gzip 6", "Node gzip 6, flush a chunk"


@dataclass(frozen=True, slots=True)
class Body:
    """One body to compress. `path` is the same at every side."""

    title: str
    path: str
    plain: bytes
    streamed: bool


BODIES: Final = (
    Body("JSON list, whole", "/orders", payloads.orders(), streamed=False),
    Body("HTML page, whole", "/page", payloads.page(), streamed=False),
    Body("log, stream of 64 KiB chunks", "/log", b"".join(payloads.log_chunks()), streamed=True),
    Body("JSON rows, stream of 2.6 KB chunks", "/rows", b"".join(payloads.row_chunks()), streamed=True),
)


@dataclass(frozen=True, slots=True)
class Server:
    address: str
    pid: int
    accepts: str


def run(plan: Plan) -> Section:
    with servers() as sides:
        sizes = {
            body: {name: len(_checked(side, body)) for name, side in _taking(sides, body).items()} for body in BODIES
        }
        outcomes = {body: _contest(sides, body, plan) for body in BODIES}
        rows = [row for body in BODIES for row in _rows(body, outcomes[body], sizes[body])]
        streams = Table("Throughput and size", ["body: ours ÷ peer", "ours MB/s", "peer MB/s", "ratio", "size"], rows)
        tables = [streams, memory(sides)]
    packages = versions("uvicorn", "httptools", "uvloop", "starlette", "zlib-ng", "zstandard")
    programs = f"Node {first_line('node', '--version')}, {' '.join(first_line('wrk', '-v').split()[:2])}"
    setting = f"{machine()}; {packages}, {programs}; {plan.rounds} rounds of {plan.seconds} s, 8 connections."
    notes = [
        "MB/s are of the bodies before compression. `size` is our output ÷ the peer's, for the whole body.",
        "Ours flushes a stream once a turn of the event loop, Starlette's after each chunk, Node's not by default.",
        disturbance(outcomes.values()),
    ]
    return Section("compression", setting, tables, notes)


@contextmanager
def servers() -> Iterator[Mapping[str, Server]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cortex-bench-")))
        payloads.write(folder)
        ours = stack.enter_context(asgi("benchmarks.programs.compression:ours"))
        starlette = stack.enter_context(asgi("benchmarks.programs.compression:starlette"))
        other = stack.enter_context(node(_PROGRAMS / "node_zlib.mjs", str(folder)))
        yield {
            OURS: Server(*ours, "gzip"),
            OURS_ZSTD: Server(*ours, "zstd, br, gzip"),
            STARLETTE: Server(*starlette, "gzip"),
            NODE: Server(*other, "gzip"),
            NODE_FLUSHED: Server(other[0] + "/flush", other[1], "gzip"),
        }


def _taking(sides: Mapping[str, Server], body: Body) -> Mapping[str, Server]:
    return {name: side for name, side in sides.items() if body.streamed or name != NODE_FLUSHED}


def _contest(sides: Mapping[str, Server], body: Body, plan: Plan) -> Contest:
    turns = {name: partial(_turn, side, body) for name, side in _taking(sides, body).items()}
    return contest(turns, plan, partial(_progress, body))


def _rows(body: Body, outcome: Contest, sizes: Mapping[str, int]) -> list[list[str]]:
    peers = [name for name in sizes if name not in OURS_BOTH]
    return [_row(body, outcome, sizes, ours, peer) for ours in OURS_BOTH for peer in peers]


def _row(body: Body, outcome: Contest, sizes: Mapping[str, int], ours: str, peer: str) -> list[str]:
    return [
        f"{body.title}: {ours} ÷ {peer}",
        shown(outcome.rate(ours)),
        shown(outcome.rate(peer)),
        outcome.ratio_shown(ours, peer),
        shown(sizes[ours] / sizes[peer]),
    ]


def _turn(side: Server, body: Body, seconds: int) -> Sample:
    sample = wrk.load(side.address + body.path, side.pid, seconds, headers={"Accept-Encoding": side.accepts})
    return Sample(sample.rate * len(body.plain) / _MB, sample.void, sample.facts)


def _progress(body: Body, line: str) -> None:
    say(f"compression, {body.title}: {line}")


def _checked(side: Server, body: Body) -> bytes:
    """The encoded body. Raises SystemExit where decoding it does not give the plain one: no speed makes up for that."""
    encoded = _encoded(side, body.path)
    if _decoded(encoded) != body.plain:
        raise SystemExit(f"bench: {side.address}{body.path} does not decode to what was sent")
    return encoded


def _decoded(encoded: bytes) -> bytes:
    if encoded[:4] == zstandard.FRAME_HEADER:
        return zstandard.ZstdDecompressor().decompressobj().decompress(encoded)
    return zlib.decompress(encoded, wbits=31)


def _encoded(side: Server, path: str, *options: str) -> bytes:
    return fetched(side.address + path, "-H", f"Accept-Encoding: {side.accepts}", *options)


def memory(sides: Mapping[str, Server]) -> Table:
    """One reader takes a stream of 1 GiB; how much the server has grown meanwhile, beyond what 64 MiB made of it."""
    rows = []
    for name in OURS_BOTH:
        side = sides[name]
        say(f"compression: 1 GiB through {name}")
        _encoded(side, "/endless/64", "-o", os.devnull)
        with _watched(side.pid) as grown:
            began = time.monotonic()
            _encoded(side, f"/endless/{_ENDLESS}", "-o", os.devnull)
            elapsed = time.monotonic() - began
        rows.append([name, shown(_ENDLESS * 1.048576 / elapsed), shown(grown() / (1 << 20))])
    return Table("One stream of 1 GiB, one reader", ["side", "MB/s", "RSS growth, MiB"], rows)


@contextmanager
def _watched(pid: int) -> Iterator[Callable[[], int]]:
    """How much its resident set has grown, at most, in bytes; looked at every 20 ms."""
    before = most = _resident(pid)
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, _resident(pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: most - before
    finally:
        over.set()
        watcher.join()


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
