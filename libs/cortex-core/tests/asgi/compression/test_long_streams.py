"""A long stream costs no memory, and goes out faster than most lines take it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortex_core.testing import assert_bound

STREAMER = Path(__file__).parent / "programs" / "streamer.py"
BOUNDED = os.environ.get("CORTEX_BOUNDS") == "1"
MEBIBYTES = 1_024 if BOUNDED else 64


@pytest.fixture(scope="module")
def streamer() -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port and its process."""
    with subprocess.Popen([sys.executable, STREAMER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.communicate(timeout=10)


def memory(pid: int, what: str) -> int:
    """KiB."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def fetch(port: int, mebibytes: int, coding: str) -> int:
    """Reads an answer to its end and keeps nothing of it. Returns its bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        request = (
            f"GET /{mebibytes} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode())
        room, size, head, tail = memoryview(bytearray(1 << 18)), 0, b"", b""
        while count := connection.recv_into(room):
            head = head or bytes(room[: min(count, 1_000)])
            tail = (tail + bytes(room[max(0, count - 5) : count]))[-5:]
            size += count
    assert f"content-encoding: {coding}\r\n".encode() in head
    assert tail == b"0\r\n\r\n"
    return size


@pytest.mark.bound
@pytest.mark.timeout(240)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_long_stream_grows_by_no_more_than_4_mb_and_runs_at_50_mb_a_second(
    streamer: tuple[int, int], coding: str
) -> None:
    port, pid = streamer
    fetch(port, 1, coding)  # what is made once is made
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is now
    before = memory(pid, "VmRSS")

    began = time.perf_counter()
    size = fetch(port, MEBIBYTES, coding)
    took = time.perf_counter() - began

    grown = memory(pid, "VmHWM") - before
    sys.stderr.write(
        f"{coding}: {MEBIBYTES} MiB as {size >> 20} MiB, {MEBIBYTES * 1.048576 / took:.0f} MB/s, +{grown} KiB\n"
    )
    assert size < MEBIBYTES << 18  # a quarter
    assert grown <= 4_000
    assert_bound(took, MEBIBYTES * 1.048576 / 50)
