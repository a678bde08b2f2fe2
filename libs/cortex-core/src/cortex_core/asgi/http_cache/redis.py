"""Answers in Redis, shared by all replicas. The one file of the cog that knows the client library; it needs the extra
`redis`.

One server, or a primary with its replicas: not a cluster, whose slots and nodes neither the client nor `clear` knows.
All keys begin with `{namespace}:http-cache` in braces: Lua touches several at once. The bookkeeping (`:meta`, `:gone`)
has no expiry: with a `maxmemory`, choose one of the `volatile-` policies.

What is bounded. A wait for Redis to `timeout`; after one that failed, the store takes Redis for gone for `retry_after`
seconds and answers at once. An answer to what the cache lets through. A tag's set forgets answers as they expire.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.codec import decode, encode
from cortex_core.asgi.http_cache.fields import digest, variant
from cortex_core.asgi.http_cache.policy import is_number, whole_number
from cortex_core.asgi.http_cache.scripts import CLEAR, GET, INVALIDATE, PUT
from cortex_core.asgi.http_cache.store import MAX_VARIANTS, CacheUnavailable, Found, Put, Ticket
from cortex_core.kernel.clock import Clock, SystemClock

_REMEMBERED: Final = 10_000  # invalidations, by name; answers asked for before the oldest of them are not stored
_HINTS: Final = 4_096  # keys whose `Vary` is remembered here, so that the right variant comes with the first question
_PAGE: Final = 500


class RedisCacheStore:
    """A `CacheStore`. `timeout` and `retry_after` in seconds; `url`: redis://, rediss:// or unix://."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "cortex",
        timeout: float = 0.05,
        retry_after: float = 1.0,
        connections: int = 16,
        clock: Clock | None = None,
    ) -> None:
        for name, value in (("timeout", timeout), ("retry_after", retry_after)):
            if not is_number(value) or value == 0:
                raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")
        whole_number("connections", connections, 1)
        self._prefix = f"{{{namespace}:http-cache}}"
        self._timeout = timeout
        self._retry_after = retry_after
        self._clock = clock or SystemClock()
        self._redis = _client(url)
        self._slots = asyncio.Semaphore(connections)
        self._away_until = float("-inf")
        self._hints: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    async def get(self, key: str, headers: HeaderList) -> Found:
        place = self._answers(key)
        hint = self._hints.get(place, ())
        try:
            life, epoch, vary, value = await self._ask(place, variant(hint, headers))
            names = () if not vary else tuple(vary.decode().split(","))
            if vary is not None:
                self._remember(place, names)
            if names != hint and vary is not None:
                value = (await self._ask(place, variant(names, headers)))[3]
        except CacheUnavailable:
            return Found(None, None)
        ticket = Ticket(int(epoch), life.decode())
        answer = decode(value) if value is not None else None
        if answer is None:
            return Found(None, ticket, names, others=vary is not None and value is None)
        return Found(answer, ticket, names)

    async def put(self, key: str, answer: Answer, ticket: Ticket, keep: float) -> Put:
        now = self._clock.now().timestamp()
        keys = [self._meta, self._gone, self._answers(key), *map(self._tag, answer.tags)]
        arguments = [
            ticket.life,
            ticket.epoch,
            max(1, int(keep * 1000)),
            int(now),
            int(now + keep) + 1,
            MAX_VARIANTS,
            ",".join(answer.vary),
            _field(answer.variant),
            encode(answer),
            *keys[2:],
        ]
        try:
            stored = await self._run(PUT, keys, arguments)
        except CacheUnavailable:
            return Put.UNAVAILABLE
        if not stored:
            return Put.OUTDATED
        self._remember(self._answers(key), answer.vary)
        return Put.STORED

    async def invalidate(self, *, keys: Collection[str] = (), tags: Collection[str] = ()) -> int:
        answers, sets = [*map(self._answers, keys)], [*map(self._tag, tags)]
        names = [*answers, *sets]
        return int(await self._run(INVALIDATE, [self._meta, self._gone, *names], [len(answers), _REMEMBERED, *names]))

    async def clear(self) -> None:
        await self._run(CLEAR, [self._meta, self._gone], [])
        kept = {self._meta.encode(), self._gone.encode()}
        cursor = 0
        while True:
            found = await self._call("SCAN", cursor, "MATCH", f"{_escaped(self._prefix)}:*", "COUNT", _PAGE)
            cursor, keys = int(found[0]), [key for key in found[1] if key not in kept]
            if keys:
                await self._call("UNLINK", *keys)
            if cursor == 0:
                return

    async def aclose(self) -> None:
        await self._redis.aclose()

    @property
    def _meta(self) -> str:
        return f"{self._prefix}:meta"

    @property
    def _gone(self) -> str:
        return f"{self._prefix}:gone"

    def _answers(self, key: str) -> str:
        return f"{self._prefix}:answers:{digest(key)}"

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}:tag:{digest(tag)}"

    async def _ask(self, place: str, variant_key: str) -> Any:
        """The data set's life and epoch, by what the answers of `place` differ, and one of them: empty where its time
        is over."""
        return await self._run(GET, [self._meta, place], [secrets.token_hex(8), _field(variant_key)])

    def _remember(self, place: str, vary: tuple[str, ...]) -> None:
        self._hints[place] = vary
        self._hints.move_to_end(place)
        if len(self._hints) > _HINTS:
            self._hints.popitem(last=False)

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        name = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self._call("EVALSHA", name, len(keys), *keys, *arguments)
        except NoScriptError:  # a server that has started anew, or been told SCRIPT FLUSH
            return await self._call("EVAL", script, len(keys), *keys, *arguments)

    async def _call(self, *words: Any) -> Any:
        """The reply. Raises CacheUnavailable, at once while Redis is taken for gone; NoScriptError."""
        if self._clock.monotonic() < self._away_until:
            raise CacheUnavailable("the cache's Redis did not answer a moment ago", retry_after=self._retry_after)
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]  # the library's own gap
        except NoScriptError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock.monotonic() + self._retry_after
            raise CacheUnavailable(f"the cache's Redis does not answer: {type(error).__name__}") from error


def _client(url: str) -> Redis:
    """Raises ValueError for what is no URL; it does not repeat it, as Python's own would: there is a password in it."""
    try:
        return Redis.from_url(
            url,
            protocol=2,  # the same replies from 6.2 on
            socket_timeout=None,  # asyncio.timeout around each call bounds all of it
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
    except ValueError:
        raise ValueError("not a Redis URL; what is special in a password (/ # ? @) is percent-encoded") from None


def _field(variant_key: str) -> str:
    return f"={digest(variant_key)}"


def _escaped(prefix: str) -> str:
    """For MATCH, where a namespace's `*` would be anything."""
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix)
