"""Projections: looked after by the service whose they are. Asked by the service's module.

Whose data is meant: the hub's on the state folder; where the environment names a database or a profile, and no folder
is named, what that says, as in a deployment.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cortex_cli.plan import environment_of
from cortex_cli.refusal import Refusal
from cortex_cli.state import State
from cortex_cli.topology import Service, Topology


def ask(topology: Topology, words: Sequence[str], state: Path | None) -> int:
    """`words` as the service takes them behind `projections`. The exit status is the service's. Raises Refusal."""
    status = 0
    for service in topology.services:
        command = [sys.executable, "-P", "-m", service.module, "projections", *words]
        env = _environment(service, state)
        status = status or subprocess.run(command, env=env, check=False).returncode  # noqa: S603 - modules of our own topology
    return status


def _environment(service: Service, state: Path | None) -> dict[str, str]:
    named = os.environ.keys() & {"CORTEX_ENV", f"{service.name.upper()}_DATABASE_URL"}
    if state is None and named:
        return dict(os.environ)
    chosen = State.chosen(state)
    if not chosen.is_ours:
        raise Refusal(
            f"no hub has its state in {chosen.folder}: pass --state, or set CORTEX_ENV and the service's own settings"
        )
    return environment_of(service, chosen)
