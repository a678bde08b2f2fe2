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
    for _ in range(200):
        port = _random.choice(_BELOW_EPHEMERAL)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")
