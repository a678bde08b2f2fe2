"""The limiter on Redis. This is the one file of the cog that knows the client library; it needs the extra `redis`.

A call with several demands is one EVALSHA. Those with one demand share an EVALSHA, up to 32 of a turn of the event loop
that have the same policy and cost, each decided by itself. All calls of a turn are one write, and one more for each 32.
Counts are kept by Redis' own clock, so replicas whose clocks differ agree; keys expire by themselves. A Redis cluster
needs a `namespace` with a hash tag (`{limits}`): the keys of a script call must be on one slot.

What holds. Never more than a policy says, over all processes that share Redis and a `namespace`. What is bounded: a
wait for Redis, by `timeout`, connecting included. What is lost: a call whose answer did not come in time may have been
charged; a Redis that lost its data has forgotten what was charged.

Redis away. The first calls wait up to `timeout`; then nobody does, until a probe every `cooldown` seconds is answered.
Meanwhile each policy does what its `on_outage` says, a call with several by the strictest: `closed` raises
LimiterUnavailable, `local` counts in this process against the policy's share. Local counts and shared ones do not know
each other: over the two changes a client may have its share in addition.
"""

import asyncio
import ssl
from typing import Any, Final

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

from cortex_core.kernel.clock import Clock
from cortex_core.ratelimit.hooks import LimiterHooks
from cortex_core.ratelimit.redis.commands import LOAD, packed
from cortex_core.ratelimit.redis.limiter import SharedLimiter
from cortex_core.ratelimit.redis.pipeline import Parser

__all__ = ["DistributedRateLimiter"]


class DistributedRateLimiter(SharedLimiter):
    """See the module and `Limiter`. Nothing is opened before it is needed. For one event loop."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "cortex",
        timeout: float = 0.1,
        cooldown: float = 0.5,
        max_local_keys: int = 100_000,
        clock: Clock | None = None,
        hooks: LimiterHooks | None = None,
    ) -> None:
        """`url`: redis://, rediss:// or unix://. `timeout` and `cooldown` in seconds. `max_local_keys` bounds the keys
        counted here during an outage. `clock` times outages; no decision of Redis' reads it. Raises ValueError."""
        super().__init__(
            RedisWire(url),
            namespace=namespace,
            timeout=timeout,
            cooldown=cooldown,
            max_local_keys=max_local_keys,
            clock=clock,
            hooks=hooks,
        )


class RedisWire:
    """A `Wire`. The library reads the URL and makes the TLS context; the connection is a plain asyncio transport,
    because the library's own reads one reply a turn."""

    def __init__(self, url: str) -> None:
        try:
            options: dict[str, Any] = dict(parse_url(url))
            self._tls: Final = _tls(options)
        except ValueError:
            raise ValueError("not a Redis URL; what is special in a password (/ # ? @) is percent-encoded") from None
        self._path: Final[str | None] = options.get("path")
        self._host: Final[str] = options.get("host", "localhost")
        self._port: Final = int(options.get("port", 6379))
        self.greeting: Final = (*_credentials(options), LOAD)

    async def connect(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            transport, _ = await loop.create_unix_connection(lambda: protocol, self._path)
        else:
            transport, _ = await loop.create_connection(lambda: protocol, self._host, self._port, ssl=self._tls)
        transport.set_write_buffer_limits(0)  # uvloop holds a write back to the end of its turn otherwise
        return transport

    def parser(self) -> Parser:
        reader: Parser = hiredis.Reader()
        return reader


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    if options.get("connection_class") is not SSLConnection:
        return None
    context: ssl.SSLContext = SSLConnection(
        **{name: value for name, value in options.items() if name.startswith("ssl_")}
    ).ssl_context.get()
    return context


def _credentials(options: dict[str, Any]) -> list[bytes]:
    """The first commands of every connection."""
    greeting = []
    if options.get("password"):
        words = [word for word in (options.get("username"), options["password"]) if word]
        greeting.append(packed("AUTH", *words))
    if options.get("db"):
        greeting.append(packed("SELECT", str(options["db"])))
    return greeting
