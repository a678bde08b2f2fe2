"""wrk, a compiled load generator: a closed loop over a few connections, on the load's CPU."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import Meter, tool, used_by, used_by_ended_children
from benchmarks.rounds import Sample

_REPORT: Final = Path(__file__).with_name("wrk_report.lua")


def load(
    url: str,
    pid: int,
    seconds: int,
    *,
    headers: Mapping[str, str] | None = None,
    connections: int = 8,
    body: Path | None = None,
    behind: Sequence[int] = (),
) -> Sample:
    """Answers a second that the process gave. `body`: a file that is POSTed. `behind`: processes on the load's CPU
    whose work counts as the load's. The fact `cpu` is the program's µs an answer, which neighbours hardly change and a
    load that is too slow not at all. Raises SystemExit where any answer was not a 2xx or got lost."""
    wrk = tool("wrk", "wrk")
    lines = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(_REPORT), *lines, url]
    if body is not None:
        command += ["--", "POST", str(body)]
    others = [used_by(each) for each in behind]
    meter = Meter(used_by(pid), lambda: used_by_ended_children() + sum(used() for used in others)).start()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    effort = meter.stop()
    if ran.returncode != 0:
        raise SystemExit(f"bench: wrk failed: {ran.stderr or ran.stdout}")
    said = json.loads(ran.stdout.splitlines()[-1])
    if said["failed"]:
        raise SystemExit(f"bench: {said['failed']} of {said['requests']} answers of {url} failed")
    rate = said["requests"] / (said["microseconds"] / 1e6)
    answers = max(1, said["requests"])
    facts = {
        "others": effort.others / effort.elapsed,
        "wire": said["bytes"] / answers,
        "requests": said["requests"],
        "cpu": 1e6 * effort.program / answers,
    }
    return Sample(rate, effort.void, facts)
