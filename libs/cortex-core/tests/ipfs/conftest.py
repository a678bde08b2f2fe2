"""Deterministic content, and the table of CIDs that Kubo and the JS importer gave for it (oracles/)."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("cid_vectors.json").read_text())


@cache
def _longest(seed: str) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(
        max(row["size"] for row in VECTORS["vectors"] if row["seed"] == seed)
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vector" in metafunc.fixturenames:
        rows = VECTORS["vectors"]
        metafunc.parametrize("vector", rows, ids=[f"{row['size']}-by-{row['chunk_size']}" for row in rows])


@pytest.fixture
def content() -> Callable[[str, int], bytes]:
    """`content(seed, size)` as the table defines it. SHAKE's output of one length begins with that of any shorter."""
    return lambda seed, size: _longest(seed)[:size]


@pytest.fixture
def pieces() -> Callable[..., AsyncIterator[bytes]]:
    """`pieces(data, size)`: `data` as a stream of pieces, as a socket would bring it."""

    async def stream(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return stream
