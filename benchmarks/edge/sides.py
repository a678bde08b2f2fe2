"""The sides of a contest at the edge, each a real server on the program's CPU in front of one service on the load's."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.edge.installs import debian, go_program, node_modules
from benchmarks.processes import asgi, node, program
from cortex_core.testing.ports import free_port

_CONF: Final = Path(__file__).with_name("conf")
_PROGRAMS: Final = Path(__file__).parents[1] / "programs"


def order(size: int) -> bytes:
    """A JSON document of exactly `size` bytes: an order's ids and figures, no two alike, as they come from a service.
    Nothing in it needs quoting in nginx."""
    known = {"orderId": "ord_0198c0de000070008000000000000001", "status": "completed", "total": 2500, "currency": "EUR"}
    ids = random.Random(20_26).randbytes(size).hex()
    lines: list[dict[str, Any]] = []
    while True:
        begin = 32 * len(lines)
        line = {"sku": f"sku_{ids[begin : begin + 24]}", "quantity": 1 + len(lines) % 5, "unitPrice": 100 + 7 * begin}
        if len(_json({**known, "items": [*lines, line], "note": ""})) > size:
            break
        lines.append(line)
    spare = size - len(_json({**known, "items": lines, "note": ""}))
    return _json({**known, "items": lines, "note": ids[-spare:] if spare else ""})


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


SMALL: Final = order(200)
LARGE: Final = order(4096)
PLACED: Final = json.dumps(
    {
        "customerId": "cus_0198c0de000070008000000000000001",
        "currency": "EUR",
        "items": [{"sku": f"book-{number:04d}", "quantity": 2, "unitPrice": 1250} for number in range(3)],
        "paymentToken": "tok_ok_0198c0de000070008000000000000000000000000000",
    },
    separators=(",", ":"),
).encode()


@dataclass(frozen=True, slots=True)
class Service:
    """The one behind every gateway."""

    port: int
    pid: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """nginx, which answers of its own: what is behind a gateway must not be what is measured."""
    port = free_port()
    bodies = {"SMALL": SMALL.decode(), "FIRST": LARGE[:2048].decode(), "SECOND": LARGE[2048:].decode()}
    with _nginx("upstream.conf", folder, port, beside=True, **bodies) as pid:
        yield Service(port, pid)


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[tuple[str, int]]:
    port = free_port()
    with _nginx("nginx.conf", folder, port, UPSTREAM=str(upstream)) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def _nginx(name: str, folder: Path, port: int, *, beside: bool = False, **words: str) -> Iterator[int]:
    found = debian("nginx")
    conf = written(name, folder, PORT=str(port), FOLDER=str(folder), **words)
    command = [found.path, "-e", "stderr", "-p", str(folder), "-c", str(conf)]
    with program(command, port, found.env, beside=beside) as process:
        yield process.pid


@contextmanager
def haproxy(folder: Path, upstream: int) -> Iterator[tuple[str, int]]:
    port, found = free_port(), debian("haproxy")
    conf = written("haproxy.cfg", folder, PORT=str(port), UPSTREAM=str(upstream))
    with program([found.path, "-db", "-q", "-f", str(conf)], port, found.env) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[tuple[str, int]]:
    port, found = free_port(), go_program("caddy")
    conf = written("Caddyfile", folder, PORT=str(port), UPSTREAM=str(upstream))
    env = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with program([found.path, "run", "--config", str(conf), "--adapter", "caddyfile"], port, env) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def fastify(upstream: int, path: str, body: Path) -> Iterator[tuple[str, int]]:
    node_modules()
    with node(_PROGRAMS / "fastify.mjs", str(upstream), path, str(body), env={"NODE_ENV": "production"}) as side:
        yield side


@contextmanager
def fastapi(factory: str, upstream: int, path: str, body: Path, jwks: Path) -> Iterator[tuple[str, int]]:
    """`bare` or `gateway` of programs/edge.py."""
    env = {
        "BENCH_UPSTREAM": f"http://127.0.0.1:{upstream}",
        "BENCH_LOCAL": path,
        "BENCH_BODY": str(body),
        "BENCH_JWKS": str(jwks),
    }
    with asgi(f"benchmarks.programs.edge:{factory}", env) as side:
        yield side


def written(name: str, folder: Path, **words: str) -> Path:
    """The configuration with its `@WORDS@` filled in, in `folder`."""
    text = (_CONF / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    place = folder / name
    place.write_text(text)
    return place


def fields(token: str) -> Mapping[str, str]:
    """What every request of the load carries, whoever is asked."""
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}
