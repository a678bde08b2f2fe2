"""Free ports on the loopback interface."""

import random
import socket
from typing import Final

_BELOW_EPHEMERAL: Final = range(
    20_000, 32_000
)  # the kernel gives outgoing connections 32768 and up: it never takes ours
_random = (
    random.SystemRandom()
)  # not the seeded one: under xdist every worker has the same seed, and would get the same ports


def free_port() -> int:
    """A TCP port that nothing on 127.0.0.1 listens on now. Raises OSError when none is found."""
    return free_row(1)


def free_row(count: int) -> int:
    """The first of so many such ports in a row. Raises OSError when none is found."""
    for _ in range(200):
        first = _random.choice(_BELOW_EPHEMERAL)
        if all(map(_is_free, range(first, first + count))):
            return first
    raise OSError("no free ports between 20000 and 32000 on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
