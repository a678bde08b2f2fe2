"""vegeta, a compiled load generator with an open loop: requests leave at a constant rate, whether answers come or not,
so that a slow answer delays no request that should have shown it. wrk cannot do that, and wrk2 is not in Debian."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.edge.installs import go_program
from benchmarks.machine import Meter, used_by, used_by_ended_children
from benchmarks.rounds import Sample

_BUSY: Final = 0.9  # of the load's CPU: beyond this it is the generator's latency that is shown
_KEPT: Final = 0.98  # of the rate that was asked for


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one turn, in milliseconds; `rate` is what was really sent a second."""

    p50: float
    p99: float
    rate: float
    success: float


def load(
    url: str, pid: int, seconds: int, rate: int, *, headers: Mapping[str, str], behind: Sequence[int] = ()
) -> Sample:
    """One turn at `rate` requests a second. The sample's rate is 1 / p99 (more is better); p50 and p99 are its facts,
    in milliseconds, `failed` is the share of answers that failed. A turn is void whose load did not keep its rate, or
    was too busy to."""
    vegeta = go_program("vegeta").path
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
    options = [f"-rate={rate}/1s", f"-duration={seconds}s", "-workers=16", "-max-workers=512", "-timeout=20s"]
    used = [used_by(each) for each in behind]
    meter = Meter(used_by(pid), lambda: used_by_ended_children() + sum(each() for each in used)).start()
    attack = subprocess.run(
        [vegeta, "attack", *options],
        input=f"GET {url}\n{lines}".encode(),
        capture_output=True,
        timeout=seconds + 60,
        check=False,
    )
    effort = meter.stop()
    if attack.returncode != 0:
        raise SystemExit(f"bench: vegeta failed: {attack.stderr.decode()}")
    report = subprocess.run(
        [vegeta, "report", "-type=json"], input=attack.stdout, capture_output=True, check=True, timeout=60
    )
    told = latency_of(report.stdout)
    facts = {"p50": told.p50, "p99": told.p99, "others": effort.others / effort.elapsed, "failed": 1 - told.success}
    void = told.rate < _KEPT * rate or effort.load > _BUSY * effort.elapsed
    return Sample(1 / told.p99, void, facts)


def latency_of(report: bytes) -> Latency:
    said = json.loads(report)
    latencies = said["latencies"]
    return Latency(latencies["50th"] / 1e6, latencies["99th"] / 1e6, said["rate"], said["success"])
