"""Databases: each service brings its own to the newest revision. Asked by the service's module, in this environment."""

import subprocess
import sys

from cortex_cli.topology import Topology


def upgrade(topology: Topology) -> int:
    """One service after the other; stops at the first that cannot. The exit status is that service's."""
    for service in topology.services:
        if "database" not in service.needs:
            continue
        command = [sys.executable, "-P", "-m", service.module, "db", "upgrade"]
        status = subprocess.run(command, check=False).returncode  # noqa: S603 - modules of our own topology
        if status != 0:
            return status
    return 0
