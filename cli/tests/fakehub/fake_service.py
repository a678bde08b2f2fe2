"""A process that answers probes, and misbehaves on request: what a supervisor is tested with.

FAKE_<NAME> says how from the start: `unready` (never ready), `broken` (ends with status 3 after a line), `stubborn`
(does not hear SIGTERM), `lingering` (takes its time to end). A GET of `/die` ends it with status 3; `/env` tells its
environment; `/fill` makes its log large.
"""

import json
import os
import signal
import socket
import sys
import time
from functools import partial


def serve(name: str, port: int) -> None:
    manner = os.environ.get(f"FAKE_{name.upper()}", "")
    say("started", name=name)
    if manner == "broken":
        sys.stderr.write(f"{name}: the flux capacitor is missing\n")
        raise SystemExit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stubborn" else partial(end, name, manner))

    listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
    while True:
        connection, _ = listener.accept()
        with connection:
            path = connection.recv(4096).split(b" ")[1].decode()
            connection.sendall(answer(name, manner, path))
        if path == "/die":
            say("last words", name=name)
            os._exit(3)


def end(name: str, manner: str, *_: object) -> None:
    say("told to end", at=time.monotonic())
    time.sleep(0.4 if manner == "lingering" else 0)
    say("ends", at=time.monotonic())
    os._exit(0)


def answer(name: str, manner: str, path: str) -> bytes:
    status, body = "200 OK", {"status": "up", "checks": {}}
    if path == "/env":
        body = dict(os.environ)
    elif path == "/health/ready" and manner == "unready":
        status = "503 Service Unavailable"
        body = {"status": "down", "checks": {"tea": {"status": "down", "error": "the kettle is cold"}}}
    elif path == "/fill":
        sys.stdout.write(("x" * 1023 + "\n") * (17 << 10))
        sys.stdout.flush()
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{json.dumps(body)}".encode()


def say(event: str, **fields: object) -> None:
    line = {"time": "2026-11-23T12:00:00.123456Z", "level": "info", "event": event, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
