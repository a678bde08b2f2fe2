"""The chart's copy of topology.toml: a chart reads no file outside its folder."""

import json
import tomllib
from pathlib import Path
from typing import Final

GATEWAY_METRICS_PORT: Final = 9464
"""In production the gateway shows its figures there, and not on the port that the world comes to."""


def generate(topology: Path) -> str:
    lines = ["# A copy of topology.toml, made by `make render`.", "services:"]
    for name, service in tomllib.loads(topology.read_text())["services"].items():
        lines += [f"  {name}:", f"    port: {service['port']}", f"    needs: {json.dumps(service['needs'])}"]
        if "exporter_port" in service:
            lines.append(f"    exporter_port: {service['exporter_port']}")
        if name == "gateway":
            lines.append(f"    metrics_port: {GATEWAY_METRICS_PORT}")
    return "\n".join(lines) + "\n"
