"""An HTTP cache in front of one application, in memory and on Redis: ours, hishel's middleware, fastapi-cache2.

`BENCH_REDIS` is Redis' URL, `BENCH_FOLDER` a folder for what a side keeps in files.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

from benchmarks import payloads

VALUE: Final = {"orders": json.loads(payloads.orders())["orders"][:12]}
BODY: Final = json.dumps(VALUE, separators=(",", ":")).encode()
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"cache-control", b"public, max-age=3600"),
    (b"etag", b'"v1"'),
]


async def app(scope: Any, _receive: Any, send: Any) -> None:
    """4 KB that may be kept for an hour. Without a cache in front, this is all that a request costs."""
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
    await send({"type": "http.response.body", "body": BODY})


def bare() -> Any:
    return app


def ours_memory() -> Any:
    from cortex_core.asgi.http_cache import HttpCache, MemoryCacheStore

    return HttpCache(app, store=MemoryCacheStore())


def ours_redis() -> Any:
    from cortex_core.asgi.http_cache import HttpCache
    from cortex_core.asgi.http_cache.redis import RedisCacheStore

    return HttpCache(app, store=RedisCacheStore(os.environ["BENCH_REDIS"], timeout=5.0))


def hishel_sqlite() -> Any:
    from hishel import AsyncSqliteStorage
    from hishel.asgi import ASGICacheMiddleware

    return ASGICacheMiddleware(
        app, storage=AsyncSqliteStorage(database_path=Path(os.environ["BENCH_FOLDER"]) / "hishel.db")
    )


def hishel_redis() -> Any:
    from hishel import AsyncRedisStorage
    from hishel.asgi import ASGICacheMiddleware
    from redis.asyncio import Redis

    return ASGICacheMiddleware(app, storage=AsyncRedisStorage(Redis.from_url(os.environ["BENCH_REDIS"])))


def fastapi_cache() -> Any:
    """Its decorator on a route, which is the one way to use it: it keeps what the route returned, not the answer."""
    from fastapi import FastAPI
    from fastapi_cache import FastAPICache
    from fastapi_cache.backends.inmemory import InMemoryBackend
    from fastapi_cache.decorator import cache

    FastAPICache.init(InMemoryBackend())
    api = FastAPI()

    @api.get("/")
    @cache(expire=3600)
    async def orders() -> Any:
        return VALUE

    return api
