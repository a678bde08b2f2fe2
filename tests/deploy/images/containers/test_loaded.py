"""What a container has loaded once it serves: nothing that the builder makes late (scripts/images/builder/late.py)."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(600)  # an engine that is busy with others is slow

_SERVING = """
import atexit, json, runpy, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), flush=True))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


WITH_TABLES = {"order", "analytics", "storage"}
CLIENTS = {"redis.client", "redis.asyncio.client", "redis.commands", "redis.cluster"}


def test_a_service_that_serves_has_loaded_nothing_of_it(engine: Any, service: str, redis: tuple[str, str]) -> None:
    """From its start, where it made its tables, to its end."""
    network, redis_url = redis
    told = ("-e", "CORTEX_ENV=development", "-e", f"CORTEX_REDIS_URL={redis_url}")
    aside = ("--network", network, "--entrypoint", "python")
    name = engine.run(engine.image(service), "-c", _SERVING, f"cortex_{service}.main", options=(*aside, *told))
    engine.healthy(name)
    engine.said("kill", "-s", "TERM", name)

    assert engine.ended(name) == 0, engine.logs(name)
    (said,) = [line for line in engine.logs(name).splitlines() if line.startswith("[")]
    loaded = set(json.loads(said))
    assert "redis.asyncio.connection" in loaded
    assert ("sqlalchemy.ext.asyncio" in loaded) == (service in WITH_TABLES)
    assert loaded & {*CLIENTS, "sqlalchemy.orm"} == set()
