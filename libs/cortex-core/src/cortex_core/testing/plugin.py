"""The pytest plugin, loaded wherever cortex-core is installed: fixtures that start something real, once a worker."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortex_core.testing.issuing import Issuer
from cortex_core.testing.postgres_binaries import PostgresServerError
from cortex_core.testing.postgres_server import PostgresServer
from cortex_core.testing.redis_server import RedisServer, RedisServerError

pytest.register_assert_rewrite("cortex_core.testing.contracts")  # so that a suite's failures show their values


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A service that a test has built sets logging up for its process. Here the process goes on, with other tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """An issuer of tokens with new keys, on the system's clock."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return Issuer(folder)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real redis-server of this process's (under xdist: this worker's) own. A test may stop and start it."""
    try:
        with RedisServer.running() as server:
            yield server
    except RedisServerError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The server's address; it runs and is empty when the test begins."""
    redis_server.start()
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL of this process's (under xdist: this worker's) own. A test may stop, kill and start it."""
    try:
        with PostgresServer.running() as server:
            yield server
    except PostgresServerError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """`postgresql+asyncpg://…` of an empty database of the test's own; the server runs when the test begins."""
    with postgres_server.database() as url:
        yield url
