"""The committed inventory is what the services measure today, and everything made of it is as it would be made."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.dashboards import inventory
from scripts.dashboards.inventory import SERVICES, Family, from_text

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "observability" / "metrics.json"


def test_making_everything_anew_changes_nothing() -> None:
    """In a process of its own: it starts all services, and sets up logging."""
    command = [sys.executable, "-m", "scripts.dashboards", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"run `make dashboards`\n{done.stdout}{done.stderr}"


def test_one_name_is_one_figure_in_every_service() -> None:
    def families(service: str) -> list[Family]:
        return [Family("requests_total", "counter", ("route",) if service == "order" else (), "", (service,))]

    with pytest.raises(ValueError, match="one name is one figure"):
        inventory.together(families(service) for service in SERVICES)


def test_every_service_has_its_traffic_its_process_and_its_version() -> None:
    families = {family.name: family for family in from_text(COMMITTED.read_text(encoding="utf-8"))}
    for name in (
        "cortex_hub_http_requests_total",
        "cortex_hub_http_request_duration_seconds",
        "cortex_hub_build_info",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "cortex_circuit_breaker_state",
        "cortex_bus_errors_total",
    ):
        assert families[name].services == SERVICES
