"""A service loads what it runs, and no more: each module costs every process memory and time to start
(docs/deploy/sizing.md)."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest

SERVICES: Final = ("gateway", "order", "notification", "analytics", "storage", "compute")
WITH_TABLES: Final = {"order", "analytics", "storage"}
ITS_OWN: Final = {
    "sqlalchemy": WITH_TABLES,
    "cortex_core.eventsourcing": WITH_TABLES,
    "cortex_core.actors": {"order"},
    "cortex_core.realtime": {"notification"},
    "cortex_core.wasm": {"compute"},
    "cortex_core.ipfs": {"storage"},
}
"""What one has a use for, and another has not."""
NOBODYS: Final = {
    "aiohttp",
    "alembic",
    "jinja2",
    "httpx",
    "yaml",
    "grpc",
    "graphql",
}
"""What could come along: migrations before they run, what other processes of the hub use."""
_LOADED: Final = """
import importlib, json, sys
importlib.import_module(f"cortex_{sys.argv[1]}.main").app()
print(json.dumps(sorted(sys.modules)))
"""


def loaded(service: str, told: Mapping[str, str]) -> set[str]:
    """The modules of a process that has built the service and serves nothing yet."""
    environment = {"PATH": os.environ["PATH"], "CORTEX_ENV": "development", "OTEL_EXPORTER_OTLP_ENDPOINT": "", **told}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, service], env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_nothing_that_nobody_asks_for(service: str) -> None:
    modules = loaded(service, {})

    assert modules & NOBODYS == set()
    assert {name: name in modules for name in ITS_OWN} == {name: service in users for name, users in ITS_OWN.items()}
