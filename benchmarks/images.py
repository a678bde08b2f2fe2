"""`python -m benchmarks.images [ROUNDS]`: how soon a container of each service is ready, and what it then has in
memory, beside a peer's: FastAPI with what its project template imports, by pip on `python:3.11-slim-bookworm`.

A Markdown table; nothing is written. Needs an engine and the images (`make images`; CORTEX_TAG). Takes turns over all
images, so that a neighbour's load meets everybody. Ends what it started."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cortex_core.testing import free_row

TOPOLOGY: Final = tomllib.loads((Path(__file__).parents[1] / "topology.toml").read_text())["services"]
PATIENCE: Final = 120.0
PEER: Final = "peer"
_DOCKERFILE: Final = """
FROM python:3.11-slim-bookworm
RUN python3 -m venv /venv && /venv/bin/pip install -q --no-cache-dir "fastapi[standard]" sqlmodel alembic \
    "psycopg[binary]" pydantic-settings "sentry-sdk[fastapi]" pyjwt bcrypt emails jinja2 httpx tenacity python-multipart
COPY main.py /app/main.py
WORKDIR /app
CMD ["/venv/bin/fastapi", "run", "--port", "8000", "main.py"]
"""
_APPLICATION: Final = """
import bcrypt, emails, httpx, jinja2, jwt, psycopg, sentry_sdk, tenacity
from fastapi import APIRouter, Depends, FastAPI
from pydantic_settings import BaseSettings
from sqlmodel import Field, Session, SQLModel, create_engine
from starlette.middleware.cors import CORSMiddleware

class Settings(BaseSettings):
    database: str = "postgresql+psycopg://nobody@localhost/none"

class Item(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    title: str

engine = create_engine(Settings().database)
router = APIRouter()

@router.get("/items", response_model=list[Item])
def items(): return []

@router.get("/health/ready")
async def ready() -> bool: return True

app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["*"])
app.include_router(router)
"""
_BUSY: Final = """
import glob, os
paths = [path for path in glob.glob("/proc/[0-9]*/stat") if path != f"/proc/{os.getpid()}/stat"]
fields = [open(path).read().rpartition(")")[2].split() for path in paths]
print(sum(int(each) for them in fields for each in them[11:15]) / os.sysconf("SC_CLK_TCK"))
"""


def docker(*words: str, check: bool = True) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=check).stdout.strip()


def main(rounds: int) -> int:
    name = f"images-bench-{uuid.uuid4().hex[:8]}"
    images = {each: f"cortex-hub/{each}:{os.environ.get('CORTEX_TAG', 'dev')}" for each in TOPOLOGY}
    images[PEER] = f"{name}:peer"
    taken: dict[str, list[tuple[float, float, float]]] = {each: [] for each in images}
    with _peer(images[PEER]), _redis(name):
        sys.stderr.write(f"load average before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs\n")
        for _ in range(rounds):
            for each, image in images.items():
                taken[each].append(_started(each, image, name))
        sys.stdout.write("| image | unpacked | ready after | CPU till then | memory |\n|---|---:|---:|---:|---:|\n")
        for each, image in images.items():
            ready, busy, memory = zip(*taken[each], strict=True)
            size = int(docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6
            times = f"{min(ready):.2f} s | {min(busy):.2f} s"  # the least: neighbours only add
            sys.stdout.write(f"| {each} | {size:.1f} MB | {times} | {statistics.median(memory):.0f} MiB |\n")
    sys.stderr.write(f"load average after: {os.getloadavg()[0]:.1f}\n")
    return 0


@contextmanager
def _peer(tag: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(_DOCKERFILE)
        Path(folder, "main.py").write_text(_APPLICATION)
        subprocess.run(["docker", "build", "-q", "-t", tag, folder], check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        docker("image", "rm", tag, check=False)


@contextmanager
def _redis(name: str) -> Iterator[None]:
    docker("network", "create", name)
    try:
        docker("run", "-d", "--name", name, "--network", name, "--network-alias", "redis", "redis:7-bookworm")
        yield
    finally:
        docker("rm", "-f", "-v", name, check=False)
        docker("network", "rm", name, check=False)


def _started(each: str, image: str, network: str) -> tuple[float, float, float]:
    """Seconds from `docker start` to the first 200 of `/health/ready`, asked every 10 ms; seconds of CPU that its
    processes took; MiB right after it, by `docker stats` (without what the page cache may drop)."""
    inside, outside = TOPOLOGY[each]["port"] if each in TOPOLOGY else 8000, free_row(1)
    options = ("--network", network, "-p", f"127.0.0.1:{outside}:{inside}", "--no-healthcheck")
    environment = ("-e", "CORTEX_ENV=development", "-e", "CORTEX_REDIS_URL=redis://redis:6379/0")
    container = docker("create", *options, *environment, image)
    try:
        began = time.monotonic()
        docker("start", container)
        while not _is_ready(outside):
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{each} is not ready: {docker('logs', '--tail', '5', container)}")
            time.sleep(0.01)
        took = time.monotonic() - began
        python = "python" if each in TOPOLOGY else "/venv/bin/python"
        busy = float(docker("exec", container, python, "-c", _BUSY))
        usage = json.loads(docker("stats", "--no-stream", "--format", "{{json .}}", container))["MemUsage"]
        number, unit = re.match(r"([\d.]+)(\w+)", usage).groups()  # type: ignore[union-attr]
        return took, busy, float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]
    finally:
        docker("rm", "-f", "-v", container, check=False)


def _is_ready(port: int) -> bool:
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer,
    ):
        return bool(answer.status == 200)
    return False


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
