"""`make load`: the gateway's read mix on a running hub, in a closed and in an open loop, and orders placed beside it.

Owns the preparation (orders that have come to their end, their ETags), the check that answers are what they should be,
and the figures as text or JSON. What is asked, and how often, is in load-tests/mix.json; the hub is the one at `--url`,
or one that is started for the run and ended after it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from benchmarks.edge.installs import go_program
from benchmarks.machine import ROOT, machine, tool
from cortex_core.testing.ports import free_row

FOLDER: Final = ROOT / "load-tests"
_PATIENCE: Final = 20.0  # seconds for an order to come to its end
_TARGETS: Final = 1000
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run: good answers a second, milliseconds, the share that failed: refused, or no answer."""

    rate: float
    p50: float
    p99: float
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the mix as it is sent."""

    weight: float
    path: str
    tag: str | None


class Hub:
    """The hub under load, spoken to as a client does."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self.authorization = f"Bearer {token}" if token else ""

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        given = {"Accept": "application/json", **headers}
        if self.authorization:
            given["Authorization"] = self.authorization
        data = None
        if body is not None:
            data, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            with urlopen(Request(self.url + path, data, given), timeout=20) as answer:
                return answer.status, dict(answer.headers.items()), answer.read()
        except HTTPError as error:
            return error.code, dict(error.headers.items()), error.read()

    def placed(self) -> tuple[str, str]:
        """An order that has come to its end: its id and its ETag. Raises SystemExit."""
        items = [{"sku": "book", "quantity": 2, "unitPrice": 1250}]
        order = {"customerId": "cus_load", "currency": "EUR", "items": items, "paymentToken": "tok_ok"}
        status, _, body = self.ask("/api/orders", order)
        if status != 201:
            raise SystemExit(f"load: POST /api/orders answers {status}: {body[:200].decode()}")
        path, end = f"/api/orders/{json.loads(body)['orderId']}", time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            status, headers, body = self.ask(path)
            if status == 200 and json.loads(body)["status"] in _ENDED:
                return path.rpartition("/")[2], {name.lower(): value for name, value in headers.items()}["etag"]
            time.sleep(0.02)
        raise SystemExit(f"load: {path} has not come to its end within {_PATIENCE:g} s")


def requests_of(mix: Mapping[str, Any], orders: list[tuple[str, str]]) -> list[Asked]:
    """The mix with real orders in it: a read of `{order}` shares its weight among them."""
    asked = []
    for read in mix["reads"]:
        if "{order}" not in read["path"]:
            asked.append(Asked(read["weight"], read["path"], None))
            continue
        for order, tag in orders:
            path = read["path"].replace("{order}", order)
            asked.append(Asked(read["weight"] / len(orders), path, tag if read["conditional"] else None))
    return asked


def check(hub: Hub, asked: list[Asked]) -> None:
    """Raises SystemExit where an answer is not 200, or not 304 where nothing has changed."""
    for each in asked:
        headers = {"If-None-Match": each.tag} if each.tag else {}
        status, _, body = hub.ask(each.path, **headers)
        if status != (304 if each.tag else 200):
            raise SystemExit(f"load: {each.path} answers {status}: {body[:200].decode()}")


def closed_loop(hub: Hub, script: str, arguments: list[str], seconds: int, connections: int) -> Figures:
    """wrk: as many requests as `connections` can have answered. Raises SystemExit where one failed."""
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(FOLDER / script)]
    command = [tool("wrk", "wrk"), *options, hub.url, "--", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if ran.returncode != 0:
        raise SystemExit(f"load: wrk failed: {ran.stderr or ran.stdout}")
    said = json.loads(ran.stdout.splitlines()[-1])
    if said["failed"]:
        raise SystemExit(f"load: {said['failed']} of {said['requests']} answers failed ({script})")
    return Figures(said["requests"] / (said["microseconds"] / 1e6), said["p50"], said["p99"])


def open_loop(hub: Hub, asked: list[Asked], seconds: int, rate: int) -> Figures | None:
    """vegeta: so many requests a second whether answers come or not; what is too much for the hub shows as failures.
    None on a machine that cannot build it."""
    if shutil.which("go") is None:
        return None
    chosen = random.Random(1).choices(asked, [each.weight for each in asked], k=_TARGETS)
    vegeta = go_program("vegeta").path
    options = [f"-rate={rate}/1s", f"-duration={seconds}s", "-workers=16", "-max-workers=1024", "-timeout=20s"]
    targets = "\n".join(_target(hub, each) for each in chosen)
    attack = subprocess.run(
        [vegeta, "attack", *options], input=targets.encode(), capture_output=True, check=True, timeout=seconds + 60
    )
    report = [vegeta, "report", "-type=json"]
    said = json.loads(subprocess.run(report, input=attack.stdout, capture_output=True, check=True, timeout=60).stdout)
    latencies = said["latencies"]
    return Figures(said["throughput"], latencies["50th"] / 1e6, latencies["99th"] / 1e6, 1 - said["success"])


def _target(hub: Hub, asked: Asked) -> str:
    lines = [f"GET {hub.url}{asked.path}", "Accept: application/json"]
    lines += [f"Authorization: {hub.authorization}"] if hub.authorization else []
    lines += [f"If-None-Match: {asked.tag}"] if asked.tag else []
    return "\n".join([*lines, ""])


def measure(hub: Hub, seconds: int) -> dict[str, Any]:
    """Everything, as JSON takes it."""
    mix = json.loads((FOLDER / "mix.json").read_text())
    asked = requests_of(mix, [hub.placed() for _ in range(mix["orders"])])
    check(hub, asked)
    with tempfile.NamedTemporaryFile("w", prefix="cortex-load-") as file:
        file.writelines(f"{each.weight}\t{each.path}\t{each.tag or ''}\n" for each in asked)
        file.flush()
        arguments = [file.name, hub.authorization]
        closed_loop(hub, "reads.lua", arguments, 1, 32)
        reads = closed_loop(hub, "reads.lua", arguments, seconds, 32)
    steady = open_loop(hub, asked, seconds, mix["bar"]["rate"])
    check(hub, asked)
    orders = closed_loop(hub, "orders.lua", [hub.authorization], seconds, 32)
    return {
        "machine": machine(),
        "seconds": seconds,
        "authenticated": bool(hub.authorization),
        "bar": mix["bar"],
        "reads": asdict(reads),
        "readsAtTheBarsRate": None if steady is None else asdict(steady),
        "ordersPlaced": asdict(orders),
    }


def told(figures: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> str:
    """The figures as lines, each beside what it was when the baseline was taken."""
    titles = {
        "reads": "read mix, closed loop (wrk, 32 connections)",
        "readsAtTheBarsRate": f"read mix, open loop at {figures['bar']['rate']:,}/s (vegeta)",
        "ordersPlaced": "orders placed, each on disk before its 201",
    }
    asked = "with a token" if figures["authenticated"] else "anonymously"
    lines = [f"{figures['machine']}; {figures['seconds']} s each, asked {asked}"]
    for name, title in titles.items():
        each = figures[name]
        if each is None:
            lines.append(f"  {title}: not measured, it takes Go to build vegeta")
            continue
        then = (baseline or {}).get(name)
        beside = f"   (baseline {then['rate']:,.0f}/s, p99 {then['p99']:.1f} ms)" if then else ""
        failed = f", {each['failed']:.2%} FAILED" if each["failed"] else ""
        shown = f"{each['rate']:,.0f}/s, p50 {each['p50']:.1f} ms, p99 {each['p99']:.1f} ms"
        lines.append(f"  {title}: {shown}{failed}{beside}")
    return "\n".join(lines)


@contextmanager
def own_hub() -> Iterator[Hub]:
    """A hub of its own on free ports, its limit out of the way; gone with its state when the block ends. It is asked
    with a token, as a user is."""
    with tempfile.TemporaryDirectory(prefix="cortex-load-") as folder:
        state, base = f"{folder}/state", free_row(7)  # the services and an exporter
        cortex = [sys.executable, "-P", "-m", "cortex_cli.main"]
        limits = {"GATEWAY_RATE_LIMIT_PER_MINUTE": "1000000000", "GATEWAY_PLANS": "standard=1000000000/min"}
        env = {**os.environ, **limits}
        up = [*cortex, "up", "--detach", "--state", state, "--port-base", str(base)]
        started = subprocess.run(up, env=env, capture_output=True, text=True, check=False, timeout=120)
        try:
            if started.returncode != 0:
                raise SystemExit(f"load: the hub did not start:\n{started.stdout[-1000:]}{started.stderr[-1000:]}")
            signed = [*cortex, "token", "--sub", "load", "--role", "operator", "--state", state]
            made = subprocess.run(signed, capture_output=True, text=True, check=False, timeout=60)
            if made.returncode != 0:
                raise SystemExit(f"load: no token for the hub: {made.stderr[-1000:]}")
            yield Hub(f"http://127.0.0.1:{base}", made.stdout.strip())
        finally:
            subprocess.run([*cortex, "down", "--state", state], capture_output=True, check=False, timeout=60)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.url:
        figures = measure(Hub(options.url, options.token), options.seconds)
    else:
        with own_hub() as hub:
            figures = measure(hub, options.seconds)
    file: Path = options.baselines
    baseline = json.loads(file.read_text()) if file.exists() else None
    sys.stdout.write(json.dumps(figures, indent=2) + "\n" if options.json else told(figures, baseline) + "\n")
    if options.save:
        file.write_text(json.dumps(figures, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--url", help="the gateway's; without it a hub is started for the run")
    parser.add_argument("--token", default=os.environ.get("CORTEX_TOKEN"), help="a bearer token; default $CORTEX_TOKEN")
    parser.add_argument("--seconds", type=int, default=10, help="of each part")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--save", action="store_true", help="makes these figures the baseline")
    parser.add_argument("--baselines", type=Path, default=FOLDER / "baselines.json", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
