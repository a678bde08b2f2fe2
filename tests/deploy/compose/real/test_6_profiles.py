"""The profiles, as far as the engine has their images: Prometheus sees every replica, the collector takes spans, the
chain and Kubo answer. Where an image is missing and a program is named (`CORTEX_TEST_COLLECTOR`, `CORTEX_TEST_KUBO`,
`CORTEX_TEST_ANVIL`: paths), an image is made of it for the time of the test; where neither is there, the table says so.
Grafana and Loki are checked by what `docker compose config` and tests/deploy/dashboards say of their files."""

import json
import os
import re
import secrets
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.compose.orders import BODY
from scripts.compose.project import Failed, Project, run, until

SERVICES = {"gateway", "order", "notification", "analytics", "storage", "compute"}
_JSON = {"Content-Type": "application/json"}
PAGE = Path(__file__).parents[4] / "docs/deploy/observability.md"
IN_JAEGERS_PLACE = """yaml:{
  receivers: {otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}}}},
  exporters: {debug: {verbosity: detailed}},
  service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}
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


def test_traces_of_requests_go_through_the_collector(hub: Project, tmp_path: Path, note: Any) -> None:
    """By the lines that the page puts into `.env`; another collector, which writes down what it gets, is in Jaeger's
    place."""
    dockerfile = 'FROM debian:bookworm-slim\nCOPY program /otelcol\nENTRYPOINT ["/otelcol"]\n'
    with image_of(hub, "otel-collector", "CORTEX_TEST_COLLECTOR", dockerfile, tmp_path) as why:
        seen = why or _traced(hub)
        note("the collector of the profile", seen)


def _traced(hub: Project) -> str:
    """What was seen."""
    began = ("up", "--detach", "--no-deps", "--pull", "never", "otel-collector")
    hub.compose("--profile", "observability", *began)
    image = hub.inspect(hub.container("otel-collector"))[0]["Config"]["Image"]
    where = ["--network", f"{hub.name}_hub", "--network-alias", "jaeger"]
    jaeger = run(["docker", "run", "--detach", *where, image, f"--config={IN_JAEGERS_PLACE}"]).stdout.strip()
    try:
        hub.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = _told()["OTEL_EXPORTER_OTLP_ENDPOINT"]
        took = hub.up()
        trace_id = secrets.token_hex(16)
        traceparent = f"00-{trace_id}-{'1' * 16}-01"
        request = urllib.request.Request(f"{hub.url}/api/orders", BODY, _JSON | {"traceparent": traceparent})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201

        def through() -> set[str]:
            """The services that have a span in the order's trace."""
            said = run(["docker", "logs", jaeger])
            resources = (said.stdout + said.stderr).split("ResourceSpans #")[1:]
            of_it = [each for each in resources if trace_id in each]
            return {name for each in of_it for name in re.findall(r"service\.name: Str\((\w+)\)", each)}

        wanted = {"gateway", "order", "notification", "analytics"}
        until(lambda: through() >= wanted, "the order's spans are where Jaeger would be", 60)
        return f"healthy with it after {took:.0f} s; an order's spans, of {len(wanted)} services, reach Jaeger's place"
    finally:
        hub.env.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        run(["docker", "rm", "--force", jaeger], good=False)


def _told() -> dict[str, str]:
    """What the page puts into `.env`."""
    lines = re.search(r"^```\n((?:[A-Z_]+=\S+\n)+)```$", PAGE.read_text(), re.MULTILINE)
    assert lines is not None
    return dict(line.split("=", 1) for line in lines[1].splitlines())


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


def test_down_ends_what_a_profile_has_started(hub: Project) -> None:
    """By `.env`, as the page has it; and by `--profile '*'` where the profile was a word of `up`. Nothing is left to be
    kept by a restart policy."""
    alone = ("up", "--detach", "--no-deps", "--pull", "never", "prometheus")

    hub.env["COMPOSE_PROFILES"] = _told()["COMPOSE_PROFILES"]
    hub.compose(*alone)
    hub.compose("down")
    del hub.env["COMPOSE_PROFILES"]
    after_the_first = hub.left("container", "network")
    hub.compose("--profile", "observability", *alone)
    hub.shell("docker compose --profile '*' down", hub.folder)

    assert after_the_first == hub.left("container", "network") == []


def _said(hub: Project, script: str) -> str:
    try:
        return hub.compose("exec", "-T", "order", "python", "-c", script).stdout.strip()
    except Failed:
        return ""
