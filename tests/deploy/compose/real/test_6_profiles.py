"""The profiles, as far as the engine has their images: Prometheus sees every replica, the collector takes spans, the
chain and Kubo answer. Where an image is missing and a program is named (`CORTEX_TEST_COLLECTOR`, `CORTEX_TEST_KUBO`,
`CORTEX_TEST_ANVIL`: paths), an image is made of it for the time of the test; where neither is there, the table says so.
Grafana and Loki are checked by what `docker compose config` and tests/deploy/dashboards say of their files."""

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.compose.project import Failed, Project, run, until

SERVICES = {"gateway", "order", "notification", "analytics", "storage", "compute"}
SEND = """
import urllib.request
url = "http://otel-collector:4318/v1/traces"
request = urllib.request.Request(url, b'{"resourceSpans":[]}', {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=5).status)
"""
BLOCK = """
import json, urllib.request
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
request = urllib.request.Request("http://anvil:8545", body, {"Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(request, timeout=5))["result"])
"""
IPFS = """
import urllib.request
print(urllib.request.urlopen(urllib.request.Request("http://kubo:5001/api/v0/version", b""), timeout=5).status)
"""
KUBO = """#!/bin/sh
[ -e "$IPFS_PATH/config" ] || ipfs init --profile="$IPFS_PROFILE" || exit
ipfs config Addresses.API /ip4/0.0.0.0/tcp/5001
exec ipfs daemon
"""


@contextmanager
def image_of(hub: Project, service: str, variable: str, dockerfile: str, folder: Path) -> Iterator[str | None]:
    """Why there is none; None where there is one."""
    name = yaml.safe_load((hub.folder / "docker-compose.yml").read_text())["services"][service]["image"]
    if not run(["docker", "image", "inspect", name], good=False).returncode:
        yield None
        return
    program = os.environ.get(variable)
    if not program:
        yield f"not tried: no image {name} here, and {variable} names no program"
        return
    shutil.copy(program, folder / "program")
    (folder / "Dockerfile").write_text(dockerfile)
    run(["docker", "build", "--quiet", "--tag", name, str(folder)])
    try:
        yield None
    finally:
        hub.compose("--profile", "*", "rm", "--force", "--stop", service)
        run(["docker", "image", "rm", "--force", name], good=False)


def test_prometheus_sees_every_replica(hub: Project, note: Any) -> None:
    hub.up("--no-recreate", "--scale", "order=2")
    hub.compose("--profile", "observability", "up", "--detach", "--wait", "--no-deps", "--pull", "never", "prometheus")
    url = f"http://127.0.0.1:{hub.env['PROMETHEUS_PORT']}/api/v1/targets?state=active"

    def targets() -> list[dict[str, Any]]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["activeTargets"]
        return [each for each in found if each["labels"]["job"] == "cortex-hub"]

    def complete() -> bool:
        up = [each["labels"]["service"] for each in targets() if each["health"] == "up"]
        return set(up) == SERVICES and up.count("order") == 2

    took = until(complete, "every service is a target that is up, order twice", 90)
    note("Prometheus in the profile", f"7 targets of 6 services up after {took:.0f} s")
    hub.up("--no-recreate", "--scale", "order=1")
    hub.compose("--profile", "observability", "rm", "--force", "--stop", "prometheus")


def test_the_collector_takes_spans(hub: Project, tmp_path: Path, note: Any) -> None:
    dockerfile = 'FROM debian:bookworm-slim\nCOPY program /otelcol\nENTRYPOINT ["/otelcol"]\n'
    with image_of(hub, "otel-collector", "CORTEX_TEST_COLLECTOR", dockerfile, tmp_path) as why:
        if why is None:
            hub.compose(
                "--profile", "observability", "up", "--detach", "--no-deps", "--pull", "never", "otel-collector"
            )
            until(lambda: _said(hub, SEND) == "200", "the collector takes what is sent", 60)
        note("the collector of the profile", why or "takes spans at 4318 with its own configuration")


def test_the_chain_answers(hub: Project, tmp_path: Path, note: Any) -> None:
    shim = 'RUN printf "#!/bin/sh\\nexit 0\\n" > /usr/local/bin/cast && chmod 755 /usr/local/bin/cast\n'
    dockerfile = f"FROM debian:bookworm-slim\nCOPY program /usr/local/bin/anvil\n{shim}"
    with image_of(hub, "anvil", "CORTEX_TEST_ANVIL", dockerfile, tmp_path) as why:
        if why is None:
            hub.compose("--profile", "chain", "up", "--detach", "--pull", "never", "anvil")
            until(lambda: _said(hub, BLOCK) == "0x7a69", "anvil answers", 60)
        note("anvil of the profile", why or "answers on the hub's network, chain 31337")


def test_kubo_answers(hub: Project, tmp_path: Path, note: Any) -> None:
    (tmp_path / "start").write_text(KUBO)
    dockerfile = (
        "FROM debian:bookworm-slim\nCOPY program /usr/local/bin/ipfs\nCOPY start /start\nENV IPFS_PATH=/data/ipfs\n"
        "RUN chmod 755 /start && mkdir -p /data/ipfs && chown 1000:100 /data/ipfs\n"
        'VOLUME /data/ipfs\nENTRYPOINT ["/start"]\n'
    )
    with image_of(hub, "kubo", "CORTEX_TEST_KUBO", dockerfile, tmp_path) as why:
        if why is None:
            hub.compose("--profile", "chain", "up", "--detach", "--pull", "never", "kubo")
            until(lambda: _said(hub, IPFS) == "200", "Kubo answers", 90)
            assert not (
                hub.inspect(*hub.compose("--profile", "chain", "ps", "-q", "kubo").stdout.split())[0][
                    "NetworkSettings"
                ]["Ports"].get("5001/tcp")
            )
        note("Kubo of the profile", why or "answers on the hub's network alone")


def _said(hub: Project, script: str) -> str:
    try:
        return hub.compose("exec", "-T", "order", "python", "-c", script).stdout.strip()
    except Failed:
        return ""
