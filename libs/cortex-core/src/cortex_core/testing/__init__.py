"""What tests of the hub share: a clock to turn by hand, waiting with a bound, an ASGI app under its real server, a real
redis-server, a real PostgreSQL, and in `contracts` the suite that every adapter of a role must pass.

Imports nothing beyond the standard library and pytest; `serving` needs uvicorn and aiohttp when it is
called, `Issuer` the extra `security`.
"""

from cortex_core.testing.bounds import assert_bound
from cortex_core.testing.fake_clock import FakeClock
from cortex_core.testing.issuing import Issuer
from cortex_core.testing.machines import machine_settings
from cortex_core.testing.ports import free_port, free_row
from cortex_core.testing.postgres_binaries import PostgresServerError
from cortex_core.testing.postgres_server import PostgresServer
from cortex_core.testing.redis_server import RedisServer, RedisServerError
from cortex_core.testing.serving import serving
from cortex_core.testing.waiting import eventually

__all__ = [
    "FakeClock",
    "Issuer",
    "PostgresServer",
    "PostgresServerError",
    "RedisServer",
    "RedisServerError",
    "assert_bound",
    "eventually",
    "free_port",
    "free_row",
    "machine_settings",
    "serving",
]
