"""API keys in Redis, shared by all replicas of all services. The one file of the cog that knows the client library; it
needs the extra `redis`.

Every call is one round trip, and one script where it changes anything. All names begin with `{namespace}:api-keys` in
braces, so that in a cluster they are on one node; a tenant's index has the tenant's name in it, and a key's record its
tenant. Records have no expiry: with a `maxmemory` choose one of the `volatile-` policies. They live as long as Redis'
data does: with its append-only file (`everysec`) a crash of the machine takes the last second with it.

What is bounded. A wait for Redis to `timeout`; after one that failed the store takes Redis for gone for `retry_after`
seconds, and says so at once. A wait for one of our own `connections` is no sign of that: it has a bound of its own
(`queueing` seconds, `MAX_WAITING` calls), and who comes in vain is told so, and nobody else.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from cortex_core.kernel.clock import Clock, SystemClock, rfc3339
from cortex_core.security.api_keys.codec import fields_of, key_of, microseconds, present, secrets_text
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.scripts import ADD, ENDED_SINCE, NOTE_USES, PAGE, REVOKE, ROTATE
from cortex_core.security.api_keys.store import (
    MAX_KEYS,
    Ended,
    KeyChanged,
    KeyNotFound,
    KeyRevoked,
    KeysUnavailable,
    TooManyKeys,
)
from cortex_core.security.turns import TooLate, in_time

_BATCH: Final = 500  # uses noted with one call
MAX_WAITING: Final = 1024
"""Calls that wait for a connection at once."""


class RedisApiKeys:
    """An `ApiKeys`. `timeout`, `retry_after` and `queueing` in seconds; `url`: redis://, rediss:// or unix://. Nothing
    is opened before it is needed. Raises ValueError."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "cortex",
        max_keys: int = MAX_KEYS,
        timeout: float = 0.25,
        retry_after: float = 0.5,
        connections: int = 8,
        queueing: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        for name, value in (("timeout", timeout), ("retry_after", retry_after), ("queueing", queueing)):
            if not 0 < value < 3600:
                raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")
        if connections < 1 or max_keys < 1:
            raise ValueError("connections and max_keys must be at least 1")
        self._prefix = f"{{{namespace}:api-keys}}"
        self._max_keys = max_keys
        self._timeout = timeout
        self._retry_after = retry_after
        self._clock = clock or SystemClock()
        self._redis = _client(url)
        self._slots = asyncio.Semaphore(connections)
        self._queueing = queueing
        self._waiting = 0
        self._away_until = float("-inf")

    async def add(self, key: ApiKey) -> None:
        keys = [self._key(key.id), self._tenant(key.tenant)]
        if not await self._run(ADD, keys, [key.id, self._max_keys, *fields_of(key)]):
            raise TooManyKeys(self._max_keys)

    async def find(self, key_id: str) -> ApiKey | None:
        return key_of(key_id, await self._call("HGETALL", self._key(key_id)))

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        found = await self.find(key_id)
        if found is None or found.tenant != tenant:
            raise KeyNotFound(key_id)
        return found

    async def page(self, tenant: str, *, limit: int, before: str | None = None) -> list[ApiKey]:
        start = "+" if before is None else f"({before}"
        pairs = await self._run(PAGE, [self._tenant(tenant)], [start, limit, self._key("")])
        found = [key_of(key_id.decode(), reply) for key_id, reply in pairs]
        return [key for key in found if key is not None]

    async def revoke(self, tenant: str, key_id: str, at: datetime, by: str) -> ApiKey:
        reply = await self._run(REVOKE, [self._key(key_id), self._ended], [key_id, tenant, rfc3339(at), by])
        return _found(key_id, reply)

    async def rotate(
        self, tenant: str, key_id: str, *, replaces: bytes, secrets: tuple[SecretHash, ...], at: datetime, by: str
    ) -> ApiKey:
        arguments = [key_id, tenant, rfc3339(at), by, replaces.hex(), present(secrets), secrets_text(secrets)]
        reply = await self._run(ROTATE, [self._key(key_id), self._ended], arguments)
        if reply == [b"revoked"]:
            raise KeyRevoked(key_id)
        if reply == [b"changed"]:
            raise KeyChanged(key_id)
        return _found(key_id, reply)

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        left = iter(uses.items())
        while batch := list(islice(left, _BATCH)):
            await self._run(
                NOTE_USES, [self._key(key_id) for key_id, _ in batch], [microseconds(at) for _, at in batch]
            )

    async def ended_since(self, at: int) -> Ended:
        now, *ids = await self._run(ENDED_SINCE, [self._ended], [at])
        return Ended(int(now), tuple(key_id.decode() for key_id in ids))

    async def check(self) -> None:
        await self._call("PING")

    async def aclose(self) -> None:
        await self._redis.aclose()

    @property
    def _ended(self) -> str:
        return f"{self._prefix}:ended"

    def _key(self, key_id: str) -> str:
        return f"{self._prefix}:key:{key_id}"

    def _tenant(self, tenant: str) -> str:
        return f"{self._prefix}:tenant:{tenant}"

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        name = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self._call("EVALSHA", name, len(keys), *keys, *arguments)
        except NoScriptError:  # a server that has started anew, or been told SCRIPT FLUSH
            return await self._call("EVAL", script, len(keys), *keys, *arguments)

    async def _call(self, *words: Any) -> Any:
        """The reply. Raises KeysUnavailable, at once while Redis is taken for gone; NoScriptError."""
        self._check_there()
        await self._take_slot()
        try:
            self._check_there()  # it may have gone while we waited
            return await self._ask(words)
        finally:
            self._slots.release()

    def _check_there(self) -> None:
        if self._clock.monotonic() < self._away_until:
            raise KeysUnavailable("the keys' Redis did not answer a moment ago", retry_after=self._retry_after)

    async def _take_slot(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise KeysUnavailable("too many ask for keys at once", retry_after=self._retry_after)
        self._waiting += 1
        try:
            async with in_time(self._queueing):
                await self._slots.acquire()
        except TooLate as error:
            raise KeysUnavailable("too many ask for keys at once", retry_after=self._retry_after) from error
        finally:
            self._waiting -= 1

    async def _ask(self, words: Sequence[Any]) -> Any:
        try:
            async with in_time(self._timeout):
                return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]  # the library's own gap
        except NoScriptError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            if not (isinstance(error, TooLate) and error.ours):
                self._away_until = self._clock.monotonic() + self._retry_after
            reason = f"the keys' Redis does not answer: {type(error).__name__}"
            raise KeysUnavailable(reason, retry_after=self._retry_after) from error


def _found(key_id: str, reply: Any) -> ApiKey:
    key = key_of(key_id, reply)
    if key is None:
        raise KeyNotFound(key_id)
    return key


def _client(url: str) -> Redis:
    """Raises ValueError for what is no URL; it does not repeat it, as Python's own would: there is a password in it."""
    try:
        return Redis.from_url(
            url,
            protocol=2,  # the same replies from 6.2 on
            socket_timeout=None,  # in_time around each call bounds all of it
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 1),  # a connection that ended while nobody asked is no outage
            driver_info=None,
        )
    except ValueError:
        raise ValueError("not a Redis URL; what is special in a password (/ # ? @) is percent-encoded") from None
