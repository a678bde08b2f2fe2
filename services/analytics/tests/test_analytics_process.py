"""The service as a process."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from cortex_core.testing import free_port


def test_a_taken_exporter_port_ends_it_with_one_line(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = subprocess.run(
            [sys.executable, "-m", "cortex_analytics.main"],
            env={
                **kept,
                "CORTEX_ENV": "development",
                "CORTEX_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
                "ANALYTICS_PORT": str(free_port()),
                "ANALYTICS_EXPORTER_PORT": str(port),
                "ANALYTICS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/analytics.db",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert process.returncode == 69
    assert process.stderr == (
        f"analytics: the Prometheus exporter cannot listen on 127.0.0.1:{port}: Address already in use;"
        " set ANALYTICS_EXPORTER_PORT (0 is none)\n"
    )
    assert "Traceback" not in process.stdout
