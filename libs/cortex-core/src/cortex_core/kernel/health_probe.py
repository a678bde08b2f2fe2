"""`python -I -m cortex_core.kernel.health_probe order 3001`: is the service of this container ready?

For HEALTHCHECK, where there is no curl. Asks the process's own `/health/ready`, on the loopback interface or on
`ORDER_HOST` where that is one address, at `ORDER_PORT` or else at the port given; says in one line what it heard; exit
status 0 or 1, the only two that Docker knows. It runs every few seconds beside the service, so it imports next to
nothing. Refuses to judge: what ready means is the service's word.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

SECONDS: Final = 4.0
"""All of it takes no longer: the service gives each of its checks one."""

_MOST: Final = 64 << 10  # bytes of a report that are read
_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to ask, where that is bound

# HTTP/1.0, which needs no Host: a service that answers for certain hosts alone answers this one too.
_REQUEST: Final = b"GET /health/ready HTTP/1.0\r\n\r\n"


def probe(service: str, host: str, port: int, seconds: float = SECONDS) -> tuple[bool, str]:
    """Whether it is ready, and the line that says so."""
    try:
        head, _, body = _ask(host, port, seconds).partition(b"\r\n\r\n")
    except OSError as error:
        return False, f"{service}: nothing answers on {host}:{port}: {error.strerror or 'it took too long'}"
    status = head[9:12].decode("latin-1")
    if status == "200":
        return True, f"{service}: ready"
    return False, f"{service}: not ready: {_down(body) or 'status ' + (status or 'none')}"


def _ask(host: str, port: int, seconds: float) -> bytes:
    """Raises OSError, TimeoutError among them."""
    until = time.monotonic() + seconds
    answer = bytearray()
    with socket.create_connection((host, port), seconds) as connection:
        connection.sendall(_REQUEST)
        while len(answer) < _MOST:
            connection.settimeout(max(0.001, until - time.monotonic()))
            part = connection.recv(_MOST)
            if not part:
                break
            answer += part
    return bytes(answer)


def _down(body: bytes) -> str:
    """The checks that are down, each with its error; nothing where this is no report."""
    import json  # late: a service that is ready sends nothing that has to be read

    try:
        checks = json.loads(body)["checks"]
        down = {name: check for name, check in checks.items() if check["status"] == "down"}
        return ", ".join(f"{name} ({check['error']})" if check.get("error") else name for name, check in down.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def main(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status. `words`: the service's name and its usual port."""
    if len(words) != 2 or not words[1].isdecimal():
        print("health_probe takes a service's name and its port: health_probe order 3001")  # noqa: T201 - its answer
        return 1
    service, prefix = words[0], words[0].upper()
    host = environment.get(f"{prefix}_HOST", "")
    told = environment.get(f"{prefix}_PORT", "")
    ready, line = probe(service, _ANY.get(host, host), int(told if told.isdecimal() else words[1]))
    print(line)  # noqa: T201 - as above
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
