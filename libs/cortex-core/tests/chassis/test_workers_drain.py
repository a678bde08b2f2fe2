"""SIGTERM to several processes on one port: served while they drain, refused afterwards, and nothing is left."""

import errno
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tea import Service, end_all, serving_with_two, until


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_all()


def test_sigterm_drains_all_and_leaves_nothing(tmp_path: Path) -> None:
    two = serving_with_two(tmp_path)
    with socket.create_connection(("127.0.0.1", two.port)) as client:
        client.sendall(b"GET /tea?slow=0.5 HTTP/1.1\r\nHost: tea\r\n\r\n")
        until(lambda: _is_inside(two), "the request is in progress")
        pids = two.workers()
        status, out, err = two.end()
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200")
    assert (status, err) == (0, "")
    assert out.count('"draining"') == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_who_connects_once_they_listen_no_more_is_refused_at_once(tmp_path: Path) -> None:
    service = serving_with_two(tmp_path, TEA_SHUTDOWN_GRACE="60")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"POST /tea HTTP/1.1\r\nHost: tea\r\nContent-Length: 5\r\n\r\nEa")
        until(lambda: _is_inside(service), "the request is in progress")

        service.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(service), "a new connection is refused")

        assert service.process.poll() is None
        client.sendall(b"rl!")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    assert service.end(0)[0] == 0


def _refuses(service: Service) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", service.port)) == errno.ECONNREFUSED


def test_until_the_delay_has_passed_new_connections_are_served(tmp_path: Path) -> None:
    service = serving_with_two(tmp_path, TEA_DRAIN_DELAY="300")

    service.process.send_signal(signal.SIGTERM)
    until(lambda: (service.folder / "log").read_text().count('"draining"') == 2, "both drain")

    assert service.ask("/health/ready")[0] == 503
    assert [service.ask("/tea")[0] for _ in range(5)] == [200] * 5
    assert service.end()[0] == 0  # a second signal ends the delay


def _is_inside(service: Service) -> bool:
    """A second client's request does not prove that the first one's has been read; that the kernel holds none does."""
    waiting = Path("/proc/net/tcp").read_text().splitlines()
    local = f"0100007F:{service.port:04X}"
    rows = [line.split() for line in waiting if line.split()[1] == local and line.split()[3] == "01"]
    return bool(rows) and all(row[4].endswith(":00000000") for row in rows)
