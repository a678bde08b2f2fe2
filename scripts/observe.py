"""`make observe`: a Prometheus beside the hub that `make up` runs, until Ctrl-C. It scrapes every service, and has the
alert rules: all but those that miss a service which this hub was started without.

Owns `observe/` in the hub's state: its configuration, rules and figures, a day of them. Takes Debian's package or any
`prometheus` on the PATH, 2.42 or newer; downloads nothing. Where Grafana is at hand, docs/deploy/observability.md says
how to point it here.
"""

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from cortex_cli.refusal import Refusal, answered
from cortex_cli.state import State
from cortex_cli.topology import HOST, read_topology

PORT: Final = 9091  # 9090 is analytics' exporter
RULES: Final = Path(__file__).resolve().parents[1] / "observability" / "prometheus" / "rules"
_PATIENCE: Final = 20.0  # seconds for Prometheus to be ready
_QUICKLY: Final = 0.1


def configuration(targets: Mapping[str, str], rules: Path, interval: str) -> str:
    """Prometheus' configuration: `targets` are host:port by service. JSON is YAML."""
    scraped = [{"targets": [address], "labels": {"service": service}} for service, address in targets.items()]
    document = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules / "*.yml")],
        "scrape_configs": [{"job_name": "cortex-hub", "honor_labels": True, "static_configs": scraped}],
    }
    return json.dumps(document, indent=1) + "\n"


def rules_for(services: Collection[str]) -> str:
    """The rules of the hub, without those that are about another service."""
    document = yaml.safe_load((RULES / "cortex.yml").read_text(encoding="utf-8"))
    for group in document["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("labels", {}).get("service") in {None, *services}]
    return json.dumps(document, indent=1) + "\n"


def command(program: str, folder: Path, port: int) -> list[str]:
    """Its arguments, on `folder`/prometheus.yml."""
    return [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]


def run(state: State, port: int, interval: str) -> int:
    """Until Ctrl-C, or Prometheus' own end: its exit status then. Raises Refusal."""
    program = shutil.which("prometheus")
    if program is None:
        raise Refusal(
            "make observe needs Prometheus: apt-get install --no-install-recommends prometheus, or put it on the PATH",
            status=69,
        )
    _must_be_free(port)
    if not state.is_ours:
        raise Refusal(f"no hub has its state in {state.folder}: start one with `make up`, or pass STATE=DIR")
    folder = state.folder / "observe"
    folder.mkdir(mode=0o700, exist_ok=True)
    targets, told = _targets(state)
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "cortex.yml").write_text(rules_for(targets), encoding="utf-8")
    (folder / "prometheus.yml").write_text(configuration(targets, rules, interval), encoding="utf-8")
    with subprocess.Popen(command(program, folder, port)) as prometheus:
        signal.signal(signal.SIGTERM, lambda *_: prometheus.terminate())
        try:
            _await_readiness(prometheus, port)
            print(f"Prometheus: http://{HOST}:{port}/alerts and …/graph. {told} Ctrl-C ends it.", flush=True)
            status = prometheus.wait()
        except KeyboardInterrupt:  # it has heard it, too: one terminal, one process group
            prometheus.terminate()
            prometheus.wait()
            return 0
    return 0 if status in {0, -signal.SIGTERM} else status


def _targets(state: State) -> tuple[dict[str, str], str]:
    """Where the hub listens, or would; and a sentence about it."""
    record, known = state.running(), read_topology().services
    if record is None:
        told = "No hub runs: its services are scraped as soon as `make up` has started them."
        return {each.name: f"{HOST}:{each.port}" for each in known}, told
    services = {member.name: member.url for member in record.members if member.kind == "service"}
    absent = sorted({each.name for each in known} - services.keys())
    without = f", and has no rules for {', '.join(absent)}" if absent else ""
    addresses = {name: url.partition("//")[2] for name, url in services.items()}
    return addresses, f"It scrapes {', '.join(services)}{without}."


def _must_be_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Refusal(f"{HOST}:{port} is taken: {error.strerror}; choose another with PORT=") from error


def _await_readiness(prometheus: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + _PATIENCE
    while prometheus.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/-/ready", timeout=1):
                return
        except OSError:
            time.sleep(_QUICKLY)
    if prometheus.poll() is None:
        prometheus.terminate()
        raise Refusal(f"Prometheus was not ready within {_PATIENCE:.0f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="make observe", description="Prometheus beside a running hub.")
    options.add_argument("--port", type=int, default=PORT)
    options.add_argument("--state", type=Path, default=None)
    options.add_argument("--interval", default="5s", help="between two scrapes")
    given = options.parse_args(arguments)
    return answered(lambda: run(State.chosen(given.state), given.port, given.interval))


if __name__ == "__main__":
    sys.exit(main())
