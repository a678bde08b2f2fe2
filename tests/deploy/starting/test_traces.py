"""A service that is told where traces go can send them, by what its own lock installs; where it cannot, it says so in
one line."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_core.testing import free_port

ROOT = Path(__file__).parents[3]
SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
EX_CONFIG = 78
_LOADED = """
import json, sys
from cortex_core.observability.exporters import otlp_exporter
sys.modules["chardet"] = None   # requests would take it where a tool for developing has brought it along
before = set(sys.modules)
otlp_exporter("https://collector.test:4318")
files = [getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before]
print(json.dumps([file for file in files if file]))
"""


@pytest.fixture(scope="module")
def needed() -> set[str]:
    """The distributions of which an exporter of spans loads something."""
    said = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(said))
    return {
        _normal(each.name)
        for each in importlib.metadata.distributions()
        if not loaded.isdisjoint(str(each.locate_file(file)) for file in each.files or ())
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("service", SERVICES)
def test_the_lock_of_a_service_has_what_sends_its_traces(service: str, needed: set[str]) -> None:
    lock = (ROOT / "requirements" / f"{service}.lock").read_text()
    locked = {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE)}

    assert {"opentelemetry-exporter-otlp-proto-http", "protobuf"} <= needed
    assert needed - locked == set()


def test_who_sends_no_traces_loads_nothing_for_it() -> None:
    """60 ms of CPU and 10 MB of every start."""
    program = (
        "import importlib, json, sys\n"
        f"for name in {SERVICES!r}: importlib.import_module(f'cortex_{{name}}.main').app()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    told = {"PATH": "", "CORTEX_ENV": "development", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    said = subprocess.run([sys.executable, "-c", program], env=told, capture_output=True, text=True, check=True).stdout

    assert {"requests", "urllib3", "google", "certifi"}.isdisjoint(json.loads(said.splitlines()[-1]))


@pytest.mark.parametrize(
    ("service", "missing"), [("order", "opentelemetry.exporter.otlp.proto.http"), ("gateway", "google.protobuf")]
)
def test_without_what_sends_traces_a_service_says_what_to_install(service: str, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from cortex_{service}.main import main; main()"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    told = {"CORTEX_ENV": "development", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, **told, f"{service.upper()}_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    said = "what sends traces is not installed: install cortex-core[otlp], or leave it unset"
    assert done.returncode == EX_CONFIG
    assert done.stdout + done.stderr == f"{service}: OTEL_EXPORTER_OTLP_ENDPOINT: {said}\n"
