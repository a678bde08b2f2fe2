"""The pytest plugin, loaded wherever cortex-core is installed: fixtures that start something real, once a worker."""

from collections.abc import Iterator

import pytest

from cortex_core.testing.redis_server import RedisServer, RedisServerError

pytest.register_assert_rewrite("cortex_core.testing.contracts")  # so that a suite's failures show their values


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
