"""Bodies as services send them, the same in every run and on every machine: an API's list, a page, lines of a log."""

import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_NAMES: Final = (
    "Ada",
    "Grace",
    "Linus",
    "Barbara",
    "Edsger",
    "Frances",
    "Donald",
    "Margaret",
    "Alan",
    "Radia",
    "Ken",
    "Tim",
)
_GOODS: Final = (
    "lamp",
    "chair",
    "desk",
    "kettle",
    "notebook",
    "bicycle",
    "scarf",
    "teapot",
    "radio",
    "clock",
    "vase",
    "drum",
)
_COLOURS: Final = ("red", "green", "blue", "black", "white", "amber", "teal", "ivory")
_STATUS: Final = ("pending", "processing", "completed", "failed", "cancelled")
_ROUTES: Final = ("/api/orders", "/api/orders/{orderId}", "/api/files", "/api/analytics", "/health/ready", "/api/jobs")


def _rng() -> random.Random:
    return random.Random(20_261_125)


def _moment(rng: random.Random) -> str:
    day, hour, minute, second = rng.randint(1, 25), rng.randint(0, 23), rng.randint(0, 59), rng.uniform(0, 59)
    return f"2026-11-{day:02d}T{hour:02d}:{minute:02d}:{second:06.3f}Z"


def _order(rng: random.Random) -> dict[str, object]:
    lines = [
        {
            "sku": f"{rng.choice(_GOODS)}-{rng.choice(_COLOURS)}",
            "quantity": rng.randint(1, 9),
            "price": rng.randint(199, 99_999),
        }
        for _ in range(rng.randint(1, 4))
    ]
    return {
        "orderId": f"ord_{rng.getrandbits(96):024x}",
        "customerId": f"cus_{rng.getrandbits(64):016x}",
        "name": f"{rng.choice(_NAMES)} {rng.choice(_NAMES)}son",
        "status": rng.choice(_STATUS),
        "items": lines,
        "total": rng.randint(199, 999_999),
        "currency": rng.choice(("EUR", "USD", "GBP")),
        "version": rng.randint(1, 6),
        "createdAt": _moment(rng),
    }


@cache
def orders() -> bytes:
    """The answer to a list request: 150 orders, about 50 KB of JSON."""
    rng = _rng()
    return json.dumps({"orders": [_order(rng) for _ in range(150)], "nextCursor": None}, separators=(",", ":")).encode()


def _card(rng: random.Random) -> str:
    good, colour = rng.choice(_GOODS), rng.choice(_COLOURS)
    words = " ".join(rng.choices((*_GOODS, *_COLOURS, *_NAMES), k=12))
    link, image = f"/goods/{good}/{rng.getrandbits(32):08x}", f"/img/{rng.getrandbits(64):016x}.webp"
    return (
        f'    <article class="card card--{colour}" id="{good}-{rng.getrandbits(32):08x}">\n'
        f'      <a href="{link}"><img src="{image}" alt="{colour} {good}" width="320" height="240"></a>\n'
        f"      <h2>{colour.title()} {good}</h2>\n"
        f"      <p>Made by {rng.choice(_NAMES)} in {rng.randint(1950, 2025)}; {words}.</p>\n"
        f'      <p class="price">{rng.randint(1, 999)}.{rng.randint(0, 99):02d} €</p>\n'
        "    </article>\n"
    )


@cache
def page() -> bytes:
    """A shop's page of 120 cards, about 60 KB of HTML."""
    rng = _rng()
    cards = "".join(_card(rng) for _ in range(120))
    head = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Goods</title></head>\n<body>\n  <main>\n'
    )
    return (head + cards + "  </main>\n</body>\n</html>\n").encode()


def log_lines(rng: random.Random) -> Iterator[bytes]:
    """A service's log, a JSON line a request, without end."""
    at = 1_795_600_000.0
    while True:
        at += rng.expovariate(400)
        line = {
            "ts": round(at, 6),
            "level": rng.choices(("info", "warning", "error"), (95, 4, 1))[0],
            "event": "request",
            "service": rng.choice(("gateway", "order", "storage")),
            "method": rng.choices(("GET", "POST"), (85, 15))[0],
            "route": rng.choice(_ROUTES),
            "status": rng.choices((200, 201, 304, 404, 429, 503), (70, 12, 10, 4, 3, 1))[0],
            "durationMs": round(rng.lognormvariate(1.2, 0.8), 3),
            "traceId": f"{rng.getrandbits(128):032x}",
            "tenant": rng.choice(("public", "acme", "globex")),
        }
        yield json.dumps(line).encode() + b"\n"


def _log_of(size: int) -> tuple[bytes, ...]:
    lines, text = log_lines(_rng()), bytearray()
    while len(text) < size:
        text += next(lines)
    return tuple(bytes(text[start : start + 65_536]) for start in range(0, size, 65_536))


@cache
def log_chunks() -> tuple[bytes, ...]:
    """1 MiB of log in 16 chunks of 64 KiB, as a file or an upstream is read."""
    return _log_of(1 << 20)


@cache
def long_log_chunks() -> tuple[bytes, ...]:
    """16 MiB: more than a codec looks back, so that a stream which repeats it is no easier to compress."""
    return _log_of(16 << 20)


@cache
def row_chunks() -> tuple[bytes, ...]:
    """128 orders as lines of JSON in chunks of 8 rows, about 2.7 KB each, as rows come out of a database."""
    rng = _rng()
    rows = [json.dumps(_order(rng), separators=(",", ":")).encode() + b"\n" for _ in range(128)]
    return tuple(b"".join(rows[start : start + 8]) for start in range(0, len(rows), 8))


def write(folder: Path) -> None:
    """The bodies as files, for programs that are not Python: `NAME.N` is chunk N of NAME."""
    bodies = {"orders": (orders(),), "page": (page(),), "log": log_chunks(), "rows": row_chunks()}
    for name, chunks in bodies.items():
        for number, chunk in enumerate(chunks):
            (folder / f"{name}.{number}").write_bytes(chunk)
