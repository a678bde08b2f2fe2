"""FastAPI at the edge, under uvicorn: `bare` answers a local route and does nothing else; `gateway` forwards with
aiohttp, with the features ours has, as people write it from the pages of FastAPI, PyJWT and the instrumentator.

Environment: `BENCH_UPSTREAM` the service's address, `BENCH_LOCAL` the local route's path, `BENCH_BODY` the file with
its body, `BENCH_JWKS` the file with the key that tokens are signed by.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})
_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_LIMIT: Final = 10**9
_WHOLE: Final = 64 << 10  # bytes up to which an answer is read whole and passed on at once

Next = Callable[[Request], Awaitable[Response]]


def bare() -> FastAPI:
    app = FastAPI()
    answer = json.loads(Path(os.environ["BENCH_BODY"]).read_bytes())

    @app.get(os.environ["BENCH_LOCAL"])
    async def local() -> dict[str, Any]:
        return dict(answer)

    return app


def gateway() -> FastAPI:
    import jwt
    from prometheus_fastapi_instrumentator import Instrumentator

    keys = jwt.PyJWKSet.from_dict(json.loads(Path(os.environ["BENCH_JWKS"]).read_bytes()))
    upstream = os.environ["BENCH_UPSTREAM"]

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=256, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as app.state.session:
            yield

    app = FastAPI(lifespan=running)
    bearer = HTTPBearer()

    def caller(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
        try:
            key = keys[jwt.get_unverified_header(given.credentials)["kid"]]
            options = {"verify_aud": False}
            claims: dict[str, Any] = jwt.decode(given.credentials, key, algorithms=["ES256"], options=options)
        except (jwt.PyJWTError, KeyError) as error:
            raise HTTPException(401) from error
        return claims

    @app.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def forward(path: str, request: Request, _claims: Annotated[dict[str, Any], Depends(caller)]) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _HOP_BY_HOP]
        body = await request.body() if request.method not in {"GET", "HEAD"} else None
        session: aiohttp.ClientSession = request.app.state.session
        answer = await session.request(request.method, f"{upstream}/{path}", headers=headers, data=body)
        passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        if answer.content_length is not None and answer.content_length <= _WHOLE:
            whole = await answer.read()
            return Response(whole, answer.status, passed)

        async def chunks() -> AsyncIterator[bytes]:
            async with answer:
                async for chunk in answer.content.iter_any():
                    yield chunk

        return StreamingResponse(chunks(), answer.status, passed)

    seen: dict[str, tuple[int, int]] = {}

    @app.middleware("http")
    async def limited(request: Request, call_next: Next) -> Response:
        minute, client = int(time.time() // 60), request.client.host if request.client else ""
        since, count = seen.get(client, (minute, 0))
        count = count + 1 if since == minute else 1
        seen[client] = (minute, count)
        if count > _LIMIT:
            return Response(status_code=429)
        response = await call_next(request)
        response.headers["X-RateLimit-Limit"] = str(_LIMIT)
        response.headers["X-RateLimit-Remaining"] = str(_LIMIT - count)
        return response

    @app.middleware("http")
    async def secured(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers.update(_SECURITY)
        return response

    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)
    Instrumentator().instrument(app).expose(app)
    return app
