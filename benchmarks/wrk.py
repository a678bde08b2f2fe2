"""wrk, a compiled load generator: a closed loop over a few connections, on the load's CPU."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.machine import Meter, tool, used_by, used_by_ended_children
from benchmarks.rounds import Sample

_REPORT: Final = Path(__file__).with_name("wrk_report.lua")


def load(url: str, pid: int, seconds: int, *, headers: Mapping[str, str] | None = None, connections: int = 8) -> Sample:
    """Answers a second that the process gave. Raises SystemExit where any was not a 2xx or got lost."""
    wrk = tool("wrk", "wrk")
    lines = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(_REPORT), *lines, url]
    meter = Meter(used_by(pid), used_by_ended_children).start()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    effort = meter.stop()
    if ran.returncode != 0:
        raise SystemExit(f"bench: wrk failed: {ran.stderr or ran.stdout}")
    said = json.loads(ran.stdout.splitlines()[-1])
    if said["failed"]:
        raise SystemExit(f"bench: {said['failed']} of {said['requests']} answers of {url} failed")
    rate = said["requests"] / (said["microseconds"] / 1e6)
    wire = said["bytes"] / max(1, said["requests"])
    return Sample(rate, effort.void, {"others": effort.others / effort.elapsed, "wire": wire})
