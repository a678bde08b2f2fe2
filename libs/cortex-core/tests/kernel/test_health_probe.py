"""The probe of a container: it asks a real socket, and says in one line what it heard."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cortex_core.kernel.health_probe import main, probe
from cortex_core.testing.ports import free_port

REPORT = b'{"status":"down","checks":{"memory":{"status":"up"},"database":{"status":"down","error":"no route"}}}'


@contextmanager
def answering(*parts: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """One connection is taken, and answered with `parts`; what it asked is kept."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                for part in parts:
                    connection.sendall(part)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join(5)


def test_who_is_ready_is_ready() -> None:
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}") as (port, asked):
        assert probe("order", "127.0.0.1", port) == (True, "order: ready")

    assert asked[0].startswith(b"GET /health/ready HTTP/1.0\r\n")


def test_who_is_not_is_told_with_what_is_down() -> None:
    with answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", REPORT) as (port, _):
        assert probe("order", "127.0.0.1", port) == (False, "order: not ready: database (no route)")


def test_what_is_no_report_is_told_by_its_status() -> None:
    for body in (b"", b"[]", b'{"checks":[]}', b"<html>", b"[" * 60_000):
        with answering(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", body) as (port, _):
            assert probe("order", "127.0.0.1", port) == (False, "order: not ready: status 502")


def test_an_answer_that_is_none_is_not_ready() -> None:
    with answering(b"") as (port, _):
        assert probe("order", "127.0.0.1", port) == (False, "order: not ready: status none")


def test_where_nobody_listens_the_line_says_where() -> None:
    port = free_port()

    assert probe("order", "127.0.0.1", port) == (
        False,
        f"order: nothing answers on 127.0.0.1:{port}: Connection refused",
    )


def test_who_takes_a_connection_and_says_nothing_is_waited_for_no_longer_than_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        assert probe("order", "127.0.0.1", port, seconds=0.05) == (
            False,
            f"order: nothing answers on 127.0.0.1:{port}: it took too long",
        )


def test_the_services_own_port_is_stronger_than_the_usual_one() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        assert main(["order", "1"], {"ORDER_PORT": str(port), "ORDER_HOST": "0.0.0.0"}) == 0


def test_it_is_asked_where_it_listens() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        assert main(["order", str(port)], {"ORDER_HOST": "127.0.0.1"}) == 0


def test_words_that_name_no_service_are_refused() -> None:
    assert [main(words, {}) for words in ([], ["order"], ["order", "x"], ["order", "1", "2"])] == [1] * 4


def test_as_a_program_it_prints_one_line_and_imports_next_to_nothing() -> None:
    costly = "sorted({'asyncio', 'ssl', 'json', 'pydantic', 'logging'} & sys.modules.keys())"
    said = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys, cortex_core.kernel.health_probe; print({costly})"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"

    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        said = subprocess.run(
            [sys.executable, "-I", "-m", "cortex_core.kernel.health_probe", "order", str(port)],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
    assert said.stdout == "order: ready\n"
    assert said.stderr == ""
