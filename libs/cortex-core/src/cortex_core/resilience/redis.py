"""The votes of a shared circuit in Redis. This is the one file of the cog that knows the client library; it needs the
extra `redis`.

Three keys a circuit, `{namespace}:circuit:{name}:members`, `:votes` and `:since`; each beat is one Lua call on Redis'
own clock, since replicas' clocks differ. A member that has not been heard of for `ttl` seconds is gone, and its vote
with it, however long its circuit would have been open. Nobody is convinced of anything before the membership is `ttl`
seconds old: after a start, or a wipe, the first few to come back are no majority of those who will.
"""

import asyncio
import itertools
import math
import os
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cortex_core.resilience.bounds import seconds, whole
from cortex_core.resilience.sharing import BallotUnavailable

__all__ = ["RedisBallot"]

_made: Final[defaultdict[str, "itertools.count[int]"]] = defaultdict(itertools.count)  # by circuit, in this process

_CAST: Final = """
-- KEYS: members, votes, since. ARGV: replica, ttl, how long our circuit is open (0: not), quorum (0: majority); in ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replica, ttl, open, quorum = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ttl, replica)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZREM', KEYS[2], replica)
if open > 0 then redis.call('ZADD', KEYS[2], now + open, replica) end
for _, voter in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if not redis.call('ZSCORE', KEYS[1], voter) then redis.call('ZREM', KEYS[2], voter) end
end
redis.call('SET', KEYS[3], now, 'NX')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end

if now - redis.call('GET', KEYS[3]) < ttl then return 0 end
if quorum == 0 then quorum = math.floor(redis.call('ZCARD', KEYS[1]) / 2) + 1 end
local last_needed = redis.call('ZREVRANGE', KEYS[2], quorum - 1, quorum - 1, 'WITHSCORES')
if not last_needed[2] then return 0 end
return last_needed[2] - now
"""
"""A quorum agrees for as long as that many votes last: until the one that is its last by time runs out."""


class RedisBallot:
    """A `Ballot` (see `sharing.py`) for the circuit called `name`."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        replica: str | None = None,
        quorum: int | None = None,
        ttl: float = 2.0,
        timeout: float = 1.0,
        namespace: str = "cortex",
    ) -> None:
        """`url`: redis://, rediss:// or unix://. `replica`: unique among those that live, and best the same after a
        restart (default: host, process, and which one in the process it is). `quorum`: how many votes convince
        (default: more than half of those who live). `ttl`: after how many seconds of silence a replica is gone; at
        least four intervals of `SharedCircuit`. `timeout`: seconds that Redis has for an answer. Raises ValueError
        naming the argument."""
        if quorum is not None:
            whole("quorum", quorum)
        seconds("ttl", ttl)
        seconds("timeout", timeout)
        self._quorum = quorum or 0
        self._ttl = math.ceil(ttl * 1000)
        self._timeout = timeout
        self._keys = [f"{namespace}:circuit:{{{name}}}:{part}" for part in ("members", "votes", "since")]
        self._replica = replica or _made_up(self._keys[0])
        self._redis = _client(url)
        self._cast = self._redis.register_script(_CAST)

    async def cast(self, seconds: float) -> float:
        arguments = (self._replica, self._ttl, math.ceil(seconds * 1000), self._quorum)
        async with self._bounded():
            return int(await self._cast(keys=self._keys, args=arguments)) / 1000

    async def withdraw(self) -> None:
        members, votes, _ = self._keys
        async with self._bounded():
            for key in (votes, members):
                await self._redis.execute_command("ZREM", key, self._replica)  # type: ignore[no-untyped-call]  # the library's gap

    async def aclose(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """The message names the trouble's class, and no address: it reaches logs."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise BallotUnavailable(f"Redis does not answer: {type(error).__name__}") from error


def _made_up(circuit: str) -> str:
    """Counted, not drawn: a container that crashes in a loop comes back under its old name, and stays one vote."""
    number = next(_made[circuit])
    return f"{socket.gethostname()}-{os.getpid()}" + (f"-{number}" if number else "")


def _client(url: str) -> "Redis":
    """Raises ValueError for what is no URL; it does not repeat it: there is a password in it."""
    try:
        return Redis.from_url(
            url,
            protocol=2,  # the same replies from 6.2 on
            socket_timeout=None,  # asyncio.timeout around each call bounds all of it, and loses no cancellation
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
    except ValueError:
        raise ValueError("url: not a Redis URL; what is special in a password (/ # ? @) is percent-encoded") from None
