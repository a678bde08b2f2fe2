"""Loopback ports: whether one is free, and who sits on one that is not."""

import errno
import os
import socket
from collections.abc import Collection, Iterable

from cortex_cli.refusal import Refusal
from cortex_cli.topology import HOST


def require_free(ports: Iterable[tuple[str, int]]) -> None:
    """`ports` are (what for, number). Raises Refusal at the first that is taken."""
    for purpose, port in ports:
        trouble = _trouble(port)
        if trouble == errno.EADDRINUSE:
            raise Refusal(
                f"port {port}, which {purpose} needs, is taken{_holder(port)}; pass --port-base N for other ports"
            )
        if trouble:
            raise Refusal(
                f"port {port}, which {purpose} needs: {os.strerror(trouble)}; pass --port-base N for other ports"
            )


def free_port(avoid: Collection[int] = ()) -> int:
    """One that nobody listens on now, chosen by the kernel."""
    while True:
        with socket.socket() as listener:
            listener.bind((HOST, 0))
            port = int(listener.getsockname()[1])
        if port not in avoid:
            return port


def _trouble(port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do: TIME_WAIT is no neighbour
        try:
            listener.bind((HOST, port))
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def _holder(port: int) -> str:
    import psutil

    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN and each.pid]
        for each in listening:
            if each.laddr and each.laddr.port == port:
                return f" by {psutil.Process(each.pid).name()} (pid {each.pid})"
    except psutil.Error:  # another user's process, or one that has just ended: the port's number must do
        return ""
    return ""
